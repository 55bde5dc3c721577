package session

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dropgate/internal/clienttoken"
)

// Whatever is stored in Redis: there is a session of somebody who can be a user,
// the same when it is stored again, or an outage that quotes nothing of it.
func FuzzStoredSession(f *testing.F) {
	for _, data := range []string{
		`{"id":"alice","claims":{"sub":"alice","n":1.5,"list":[null,{}]},"subject":"alice","sid":"one","id_token":"a.b.c"}`,
		"", "null", "[]", "{}", `"alice"`, `{"id":""}`, `{"id":7}`, `{"id":"alice"}`, `{"id":"alice","claims":[]}`, `{"id":"alice\u0000"}`, `{"id":"al\ud800ice"}`, "{\"id\":\"\xff\"}",
		`{"id":"alice"}{}`, `{"id":"alice","id":"bob"}`, `{"ID":"alice"}`, `{"id":"` + strings.Repeat("é", 256) + `"}`, strings.Repeat("[", 11_000),
		`{"id":"alice","subject":"a secret of at least sixteen characters"`,
	} {
		f.Add(data, "1772366400123")
	}
	for _, ends := range []string{"", "0", "-1", "1e3", "99999999999999999999", " 1", "+1", "0x1", "1_000"} {
		f.Add(`{"id":"alice"}`, ends)
	}
	f.Fuzz(func(t *testing.T, data, ends string) {
		got, err := readFound([]any{int64(1), int64(0), data, ends})
		if err != nil {
			checkOutage(t, err, data)
			return
		}
		millis, _ := strconv.ParseInt(ends, 10, 64)
		if !clienttoken.ValidUserID(got.User.ID) || got.address != 1 || !got.Expires.Equal(time.UnixMilli(millis)) {
			t.Errorf("%q until %q is a session of %q until %v", data, ends, got.User.ID, got.Expires)
		}
		again, err := json.Marshal(stored{got.User.ID, got.User.Claims, got.Subject, got.SID, got.IDToken.Reveal()})
		if err != nil {
			t.Fatal(err)
		}
		same, err := read(string(again))
		if diff := cmp.Diff(got.Session, same, cmpopts.IgnoreFields(Session{}, "Expires", "IDToken")); diff != "" || err != nil || got.IDToken.Reveal() != same.IDToken.Reveal() {
			t.Errorf("%q, stored again (%v): %s", data, err, diff)
		}
	})
}

func checkOutage(t *testing.T, err error, data string) {
	t.Helper()
	if failure, ok := errors.AsType[*clienttoken.Failure](err); !ok || failure.Code != clienttoken.Unavailable || failure.RetryAfter <= 0 {
		t.Errorf("%v (a %T), want an outage", err, err)
	}
	for piece := range strings.FieldsSeq(data) {
		if len(piece) >= 16 && strings.Contains(err.Error(), piece) {
			t.Errorf("the error quotes %q: %v", piece, err)
		}
	}
}

// Nobody is told that they are not signed in, or let pass uncounted, by an answer
// that find.lua does not give.
func TestAnAnswerOfAnotherFormIsAnOutage(t *testing.T) {
	const data, ends = `{"id":"alice"}`, "1772366400123"
	for _, answer := range [][]any{
		nil,
		{int64(1)},
		{int64(1), nil},
		{"1", int64(1)},
		{int64(1), int64(1), data},
		{int64(1), int64(1), data, ends, "more"},
		{nil, int64(1), data, ends},
		{int64(1), "1", data, ends},
		{int64(1), int64(1), nil, ends},
		{int64(1), int64(1), data, nil},
		{int64(1), int64(1), data, int64(1)},
	} {
		if _, err := readFound(answer); err == nil {
			t.Errorf("%v is taken", answer)
		} else {
			checkOutage(t, err, data)
		}
	}
}
