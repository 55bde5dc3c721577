package auth

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/netip"
)

// question is all that the application learns of a request. An application may bind
// its sessions to the browser and the address, so the answer counts only for an equal
// question: a stolen cookie finds no cached answer from another browser or address.
type question struct {
	credentials http.Header // Authorization, Cookie
	userAgent   string      // may be empty
	address     string      // of the caller; empty if unknown
}

func credentialHeaders() []string { return []string{"Authorization", "Cookie"} }

// question returns the question about credentials of the request.
func (f *Forward) question(r *http.Request, credentials http.Header) question {
	q := question{credentials: credentials, userAgent: r.UserAgent()}
	if f.config.ClientAddress != nil {
		if address, err := netip.ParseAddr(f.config.ClientAddress(r)); err == nil {
			q.address = address.String()
		}
	}
	return q
}

// header returns the headers of the call. An empty User-Agent keeps net/http from
// adding its own.
func (q question) header() http.Header {
	header := q.credentials.Clone()
	header.Set("Accept", "application/json")
	header.Set("User-Agent", q.userAgent)
	if q.address != "" {
		header.Set("X-Forwarded-For", q.address)
	}
	return header
}

type questionDigest [sha256.Size]byte

// digest hashes the question. The counts and lengths keep different lists of values
// apart.
func (q question) digest() questionDigest {
	var text []byte
	lists := [][]string{{q.userAgent}, {q.address}}
	for _, name := range credentialHeaders() {
		lists = append(lists, q.credentials[name])
	}
	for _, list := range lists {
		text = binary.BigEndian.AppendUint32(text, uint32(len(list))) //nolint:gosec // headers are bounded
		for _, value := range list {
			text = binary.BigEndian.AppendUint32(text, uint32(len(value))) //nolint:gosec // headers are bounded
			text = append(text, value...)
		}
	}
	return sha256.Sum256(text)
}
