package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla"
)

// reply is an error reply of Redis.
type reply string

func (r reply) Error() string { return string(r) }

// RedisError implements redis.Error.
func (reply) RedisError() {}

func TestReadinessReasonsAreFixedWords(t *testing.T) {
	server := func(code string) error {
		return &pgconn.PgError{Code: code, Message: `role "the-role" at 10.1.2.3`}
	}
	dial := func(err error) error {
		return &url.Error{Op: "Get", URL: "https://the-role@10.1.2.3/keys", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
	}
	for _, test := range []struct {
		err  error
		want reason
	}{
		{server("28P01"), authenticationFailed},
		{server("28000"), authenticationFailed},
		{server("3D000"), databaseNotFound},
		{server("42501"), missingPermission},
		{server("25006"), readOnly},
		{server("57P03"), notAccepting},
		{server("57P01"), notAccepting},
		{server("53300"), tooManyConnections},
		{server("53100"), diskFull},
		{server("53200"), outOfMemory},
		{server("53000"), outOfResources},
		{server("57014"), timedOut},
		{server("42P01"), schemaOutdated},
		{server("26000"), noPrepared},
		{server("08P01"), unreachable},
		{server("XX000"), serverError},
		{server("22023"), refused},
		{server(""), notUsable},
		{server("9"), refused},
		{fmt.Errorf("%w: %w", customer.ErrQuery, server("42P01")), queryDoesNotFit},
		{fmt.Errorf("%w: %w", customer.ErrQuery, server("42501")), missingPermission},
		{fmt.Errorf("%w: %w", customerdb.ErrSchema, server("42501")), missingPermission},
		{fmt.Errorf("%w: its schema is newer", customerdb.ErrSchema), schemaOutdated},
		{customerdb.ErrNotMigrated, schemaOutdated},
		{fmt.Errorf("%w: %w", customerdb.ErrNotMigrated, server("28P01")), authenticationFailed},
		{fmt.Errorf("%w: %w", customerdb.ErrNotMigrated, dial(syscall.ECONNREFUSED)), connectionRefused},
		{errors.Join(dial(syscall.ECONNREFUSED), server("28P01")), authenticationFailed},
		{reply("NOAUTH Authentication required."), authenticationFailed},
		{reply("WRONGPASS invalid username-password pair or user is disabled."), authenticationFailed},
		{reply("ERR AUTH <password> called without any password configured"), authenticationFailed},
		{reply("DENIED Redis is running in protected mode"), authenticationFailed},
		{reply("NOPERM User the-role has no permissions to run the 'set' command"), missingPermission},
		{reply("ERR The user executing the script can't run this command or subcommand script: f_1"), missingPermission},   // Redis 7.0
		{reply("ERR ACL failure in script: User the-role has no permissions to run the 'set' command"), missingPermission}, // Redis 7.2
		{reply("READONLY You can't write against a read only replica."), readOnly},
		{reply("ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write"), readOnly},
		{reply("OOM command not allowed when used memory > 'maxmemory'."), outOfMemory},
		{reply("MISCONF Redis is configured to save RDB snapshots"), snapshotFailed},
		{reply("CLUSTERDOWN The cluster is down"), clusterDown},
		{reply("CROSSSLOT Keys in request don't hash to the same slot"), clusterSlots},
		{reply("MOVED 3999 10.1.2.3:6381"), clusterSlots},
		{reply("LOADING Redis is loading the dataset in memory"), notAccepting},
		{reply("MASTERDOWN Link with MASTER is down"), noPrimary},
		{reply("NOREPLICAS Not enough good replicas to write."), tooFewReplicas},
		{reply("BUSY Redis is busy running a script."), busy},
		{reply("ERR max number of clients reached"), tooManyConnections},
		{reply("ERR DB index is out of range"), databaseNotFound},
		{reply("ERR something at 10.1.2.3"), refused},
		{redis.ErrPoolTimeout, timedOut},
		{&dwolla.Error{Status: 401, Code: "invalid_client"}, authenticationFailed},
		{&clienttoken.Failure{Err: &dwolla.Error{Status: 503}}, serverError},
		{&dwolla.Error{Status: 429}, throttled},
		{&dwolla.Error{Status: 200, Err: errors.New("nonsense")}, notUsable},
		{&dwolla.Error{Err: dial(syscall.ECONNREFUSED)}, connectionRefused},
		{dial(syscall.EHOSTUNREACH), unreachable},
		{dial(&net.DNSError{Name: "10.1.2.3.the-role", IsNotFound: true}), hostNotFound},
		{dial(&net.DNSError{Name: "10.1.2.3.the-role", IsTimeout: true}), timedOut},
		{dial(os.ErrDeadlineExceeded), timedOut},
		{context.DeadlineExceeded, timedOut},
		{fmt.Errorf("10.1.2.3: %w", io.EOF), connectionClosed},
		{dial(syscall.ECONNRESET), connectionClosed},
		{&tls.CertificateVerificationError{Err: x509.HostnameError{Host: "the-role"}}, certificateInvalid},
		{x509.UnknownAuthorityError{}, certificateInvalid},
		{x509.CertificateInvalidError{Reason: x509.Expired}, certificateInvalid},
		{tls.RecordHeaderError{Msg: "10.1.2.3"}, tlsFailed},
		{errors.New("10.1.2.3: server refused TLS connection"), tlsFailed},
		{errors.New("anything about the-role at 10.1.2.3"), notUsable},
	} {
		got := dependency{system: "postgres"}.reason(test.err)
		if got != "postgres: "+string(test.want) {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
		if strings.Contains(got, "the-role") || strings.Contains(got, "10.1.2.3") {
			t.Errorf("%v: %q quotes it", test.err, got)
		}
	}
}
