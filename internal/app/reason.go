package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"
	"modernc.org/sqlite"

	"dropgate/internal/auth"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla"
)

// reason says in a few fixed words why a dependency cannot be used. Every client of
// the admin listener can read it. So it has no role, address or database name, and
// no text of a server or driver. The log has the details.
type reason string

const (
	authenticationFailed reason = "authentication failed"
	databaseNotFound     reason = "database not found"
	missingPermission    reason = "missing permission"
	readOnly             reason = "read-only"
	diskFull             reason = "disk full"
	outOfMemory          reason = "out of memory"
	outOfResources       reason = "out of resources"
	tooManyConnections   reason = "too many connections"
	notAccepting         reason = "starting, stopping or recovering"
	schemaOutdated       reason = "schema not up to date"
	capitals             reason = "user ids differ only in letter case"
	queryDoesNotFit      reason = "CUSTOMER_QUERY does not fit"
	noPrepared           reason = "prepared statements not available"
	damaged              reason = "damaged file"
	replaced             reason = "file removed or replaced"
	busy                 reason = "busy"
	snapshotFailed       reason = "cannot write its snapshot"
	clusterDown          reason = "cluster down"
	clusterSlots         reason = "a Redis Cluster, which needs REDIS_MODE=cluster"
	noPrimary            reason = "replica without its primary"
	tooFewReplicas       reason = "too few replicas"
	timedOut             reason = "timed out"
	hostNotFound         reason = "host name not found"
	connectionRefused    reason = "connection refused"
	connectionClosed     reason = "connection closed"
	unreachable          reason = "unreachable"
	proxyUnreachable     reason = "egress proxy unreachable"
	proxyRefused         reason = "refused by the egress proxy"
	certificateInvalid   reason = "TLS certificate not valid"
	tlsFailed            reason = "TLS handshake failed"
	throttled            reason = "throttled"
	serverError          reason = "server error"
	refused              reason = "refused"
	notUsable            reason = "not usable"
)

// reasonOf classifies a non-nil error. It looks for a server's answer first, and at
// the connection last: pgx tries several addresses, and an answer says more than a
// failed attempt.
func reasonOf(err error) reason {
	if out, ok := errors.AsType[*outputError](err); ok {
		return reason(outputReason(out.error))
	}
	for _, find := range []func(error) reason{ownReason, postgresReason, redisReason, sqliteReason, dwollaReason, networkReason} {
		if words := find(err); words != "" {
			return words
		}
	}
	return notUsable
}

// ownReason classifies errors of package customerdb and of files.
func ownReason(err error) reason {
	if misfit, ok := errors.AsType[*auth.MisfitError](err); ok {
		return reason(misfit.Words)
	}
	switch {
	case errors.Is(err, customer.ErrQuery) && sqlState(err) != "42501":
		return queryDoesNotFit
	case errors.Is(err, customerdb.ErrLetterCase):
		return capitals
	case errors.Is(err, customerdb.ErrSchema) && sqlState(err) != "42501",
		errors.Is(err, customerdb.ErrNotMigrated) && sqlState(err) == "" && networkReason(err) == "":
		return schemaOutdated
	}
	switch {
	case errors.Is(err, customerdb.ErrPrivilege), errors.Is(err, fs.ErrPermission):
		return missingPermission
	case errors.Is(err, customerdb.ErrReplaced):
		return replaced
	case errors.Is(err, customerdb.ErrLocked):
		return busy
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return diskFull
	case errors.Is(err, syscall.EROFS):
		return readOnly
	}
	return ""
}

// sqlState is the SQLSTATE of PostgreSQL's answer, or "".
func sqlState(err error) string {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return answer.Code
	}
	return ""
}

// postgresReason classifies a SQLSTATE
// (https://www.postgresql.org/docs/current/errcodes-appendix.html). PgBouncer
// answers 08P01 for most of its own errors.
func postgresReason(err error) reason {
	code := sqlState(err)
	if code == "" {
		return ""
	}
	exact := map[string]reason{
		"3D000": databaseNotFound,
		"42501": missingPermission,
		"25006": readOnly,
		"53100": diskFull, "53200": outOfMemory, "53300": tooManyConnections, "53400": outOfResources,
		"57014": timedOut, "55P03": timedOut, "25P03": timedOut,
		"42P01": schemaOutdated, "42703": schemaOutdated, "3F000": schemaOutdated,
		"26000": noPrepared, "42P05": noPrepared,
		"58030": serverError,
	}
	if words, ok := exact[code]; ok {
		return words
	}
	byClass := map[string]reason{
		"28": authenticationFailed, "53": outOfResources, "57": notAccepting, "08": unreachable, "58": serverError, "XX": serverError,
	}
	if words, ok := byClass[code[:min(2, len(code))]]; ok {
		return words
	}
	return refused
}

// redisReason classifies the first word of an error reply. The error of a script
// has that word in the middle.
func redisReason(err error) reason {
	if errors.Is(err, redis.ErrPoolTimeout) {
		return timedOut
	}
	answer, ok := errors.AsType[redis.Error](err)
	if !ok {
		return ""
	}
	for _, holds := range []func(text, part string) bool{strings.HasPrefix, strings.Contains} {
		for _, known := range redisReplies() {
			if holds(answer.Error(), known.part) {
				return known.words
			}
		}
	}
	return refused
}

type redisReply struct {
	part  string
	words reason
}

func redisReplies() []redisReply {
	return []redisReply{
		{"NOAUTH", authenticationFailed},
		{"WRONGPASS", authenticationFailed},
		{"DENIED", authenticationFailed},
		{"NOPERM", missingPermission},
		{"ERR The user executing the script", missingPermission},
		{"ACL failure in script", missingPermission},
		{"READONLY", readOnly},
		{"OOM", outOfMemory},
		{"MISCONF", snapshotFailed},
		{"CLUSTERDOWN", clusterDown},
		{"CROSSSLOT", clusterSlots},
		{"MOVED", clusterSlots},
		{"ASK ", clusterSlots},
		{"LOADING", notAccepting},
		{"MASTERDOWN", noPrimary},
		{"NOREPLICAS", tooFewReplicas},
		{"BUSY", busy},
		{"TRYAGAIN", busy},
		{"ERR invalid password", authenticationFailed},
		{"ERR AUTH", authenticationFailed},
		{"ERR Client sent AUTH", authenticationFailed},
		{"ERR max number of clients", tooManyConnections},
		{"ERR DB index", databaseNotFound},
	}
}

// sqliteReason classifies a primary result code (https://www.sqlite.org/rescode.html).
func sqliteReason(err error) reason {
	fault, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return ""
	}
	words, ok := map[int]reason{
		3: missingPermission, 5: busy, 6: busy, 7: outOfMemory, 8: readOnly, 10: serverError, 11: damaged, 13: diskFull,
		14: databaseNotFound, 23: missingPermission, 26: damaged,
	}[fault.Code()&0xff]
	if !ok {
		return refused
	}
	return words
}

// dwollaReason classifies an answer of Dwolla.
func dwollaReason(err error) reason {
	answer, ok := errors.AsType[*dwolla.Error](err)
	switch {
	case !ok || answer.Status == 0:
		return ""
	case answer.Status == http.StatusTooManyRequests:
		return throttled
	case answer.Status == http.StatusUnauthorized, answer.Status == http.StatusForbidden, answer.Code == "invalid_client":
		return authenticationFailed
	case answer.Status >= http.StatusInternalServerError:
		return serverError
	case answer.Err != nil:
		return notUsable
	}
	return refused
}

// networkReason classifies an error without a server's answer.
func networkReason(err error) reason {
	if words := tlsReason(err); words != "" {
		return words
	}
	if _, ok := errors.AsType[proxyAnswerError](err); ok {
		return proxyRefused
	}
	var network net.Error
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == proxyConnect:
		return proxyUnreachable
	case errors.As(err, &dns) && dns.IsNotFound:
		return hostNotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return timedOut
	case errors.Is(err, syscall.ECONNREFUSED):
		return connectionRefused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, net.ErrClosed), errors.Is(err, driver.ErrBadConn):
		return connectionClosed
	case errors.As(err, &op), errors.As(err, &dns):
		return unreachable
	}
	return ""
}

func tlsReason(err error) reason {
	var (
		authority   x509.UnknownAuthorityError
		host        x509.HostnameError
		certificate x509.CertificateInvalidError
		verify      *tls.CertificateVerificationError
		header      tls.RecordHeaderError
		alert       tls.AlertError
	)
	switch {
	case errors.As(err, &verify), errors.As(err, &authority), errors.As(err, &host), errors.As(err, &certificate):
		return certificateInvalid
	case errors.As(err, &header), errors.As(err, &alert):
		return tlsFailed
	// pgx has no type for this answer to its SSLRequest.
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return tlsFailed
	}
	return ""
}
