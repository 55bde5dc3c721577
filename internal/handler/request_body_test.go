package handler_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"
)

func TestBodyMustBeOneJSONObject(t *testing.T) {
	w := newWorld(t)
	nested := func(open, shut string, levels int) string {
		return `{"action":"customer.read","deep":` + strings.Repeat(open, levels) + strings.Repeat(shut, levels) + `}`
	}
	for name, content := range map[string]string{
		"empty":                          "",
		"white space":                    " \n",
		"null":                           `null`,
		"an array":                       `[{"action":"customer.read"}]`,
		"a string":                       `"customer.read"`,
		"a number":                       `1`,
		"true":                           `true`,
		"two values":                     `{"action":"customer.read"}{"action":"customer.read"}`,
		"two values on two lines":        `{"action":"customer.read"}` + "\n" + `{"action":"customer.read"}`,
		"trailing garbage":               `{"action":"customer.read"}x`,
		"a trailing comma":               `{"action":"customer.read",}`,
		"a comment":                      `{"action":"customer.read"/**/}`,
		"single quotes":                  `{'action':'customer.read'}`,
		"a name without quotes":          `{action:"customer.read"}`,
		"cut in the middle":              `{"action":"customer.re`,
		"a form":                         `action=customer.read`,
		"NaN":                            `{"action":"customer.read","x":NaN}`,
		"a NUL byte behind":              `{"action":"customer.read"}` + "\x00",
		"a control character":            `{"action":"customer.read` + "\x01" + `"}`,
		"a byte order mark":              "\ufeff" + `{"action":"customer.read"}`,
		"UTF-16":                         "\xff\xfe{\x00}\x00",
		"invalid UTF-8 in the action":    `{"action":"customer.read` + "\xff" + `"}`,
		"invalid UTF-8 elsewhere":        `{"action":"customer.read","x":"` + "\xc3\x28" + `"}`,
		"invalid UTF-8 in a name":        `{"action":"customer.read","` + "\xff" + `":1}`,
		"a lone surrogate in the action": `{"action":"customer.read\ud800"}`,
		"a lone surrogate elsewhere":     `{"action":"customer.read","x":"\udfff"}`,
		"a lone surrogate in a name":     `{"action":"customer.read","\ud800":1}`,
		"a lone surrogate in a relation": `{"action":"customer.read","links":{"customer\ud800":{"href":"https://x.example"}}}`,
		"10 001 levels of arrays":        nested("[", "]", 10_001),
		"30 000 levels of arrays":        nested("[", "]", 30_000),
		"10 000 levels of objects":       nested(`{"a":`, "1}", 10_000)[:60_000],
		"30 000 levels that never end":   `{"action":"customer.read","deep":` + strings.Repeat("[", 30_000),
		"65 000 levels at the top":       strings.Repeat("[", 65_000),
		"65 000 objects in the links":    `{"links":{"customer":` + strings.Repeat(`{"a":`, 13_000),
	} {
		t.Run(name, func(t *testing.T) {
			a := w.vend(t, alice, content)
			a.refused(t, http.StatusBadRequest, "BadRequest")
			a.audit.has(t, line{"user": alice, "action": "", "customer": ""})
		})
	}
}

func TestDeeplyNestedUnknownMemberIsIgnored(t *testing.T) {
	w := newWorld(t)
	content := `{"action":"customer.read","deep":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + `}`
	a := w.vend(t, alice, content)
	a.vended(t, w.filled(sentRead))
}

func TestDuplicateMembersAreRefused(t *testing.T) {
	w := newWorld(t)
	const customer = `"customer":{"href":"https://api-sandbox.dwolla.com/customers/` + alicesID + `"}`
	for name, row := range map[string]struct{ content, member string }{
		"different values":    {`{"action":"customer.read","action":"customer.update"}`, "/action"},
		"equal values":        {`{"action":"customer.read","action":"customer.read"}`, "/action"},
		"escaped":             {`{"action":"customer.read","\u0061ction":"customer.update"}`, "/action"},
		"links":               {`{"action":"customer.read","links":{},"links":{}}`, "/links"},
		"null and a value":    {`{"action":"customer.read","_links":null,"_links":{` + customer + `}}`, "/_links"},
		"relations":           {`{"action":"customer.read","_links":{` + customer + `,` + customer + `}}`, "/_links/customer"},
		"href":                {`{"action":"customer.read","_links":{"customer":{"href":"https://a.example","href":"https://b.example"}}}`, "/_links/customer/href"},
		"type of a link":      {`{"action":"customer.read","_links":{"customer":{"type":1,"type":2}}}`, "/_links/customer/type"},
		"unknown":             {`{"action":"customer.read","x":1,"x":1}`, "/x"},
		"nested and unknown":  {`{"action":"customer.read","x":[{"y":{"z":1,"z":2}}]}`, "/x/0/y/z"},
		"before the known":    {`{"x":{"y":1,"y":2},"action":"customer.read"}`, "/x/y"},
		"a name of 30 000":    {`{"action":"customer.read","` + strings.Repeat("n", 30_000) + `":1,"` + strings.Repeat("n", 30_000) + `":1}`, "/nnn"},
		"a name with slashes": {`{"a/b~":1,"a/b~":1}`, "/a~1b~0"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.vend(t, alice, row.content)
			a.refused(t, http.StatusBadRequest, "BadRequest")
			if !strings.Contains(a.problem.Message, row.member) {
				t.Errorf("the message does not name %s: %.300s", row.member, a.problem.Message)
			}
			if len(a.body) > 1000 {
				t.Errorf("the answer has %d bytes", len(a.body))
			}
		})
	}
}

func TestLargeBodiesAreRefused(t *testing.T) {
	w := newWorld(t)
	head := `{"action":"customer.read","padding":"`
	sized := func(size int) string { return head + strings.Repeat("x", size-len(head)-2) + `"}` }
	for name, content := range map[string]string{
		"64 KiB and one byte":   sized(64<<10 + 1),
		"one byte behind":       sized(64<<10) + " ",
		"1 MiB":                 sized(1 << 20),
		"1 MiB of white space":  strings.Repeat(" ", 1<<20),
		"good within, bad then": `{"action":"customer.read"}` + strings.Repeat(" ", 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			a := w.vend(t, alice, content)
			a.refused(t, http.StatusRequestEntityTooLarge, "PayloadTooLarge")
			chunked := w.vend(t, alice, content, func(r *http.Request) { r.ContentLength = -1 })
			chunked.refused(t, http.StatusRequestEntityTooLarge, "PayloadTooLarge")
		})
	}
}

func TestJSONAndHALMediaTypesAreAccepted(t *testing.T) {
	w := newWorld(t)
	for _, media := range []string{
		"application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8",
		"Application/JSON", "application/vnd.dwolla.v1.hal+json",
	} {
		a := w.vend(t, alice, `{"action":"customer.update"}`, header("Content-Type", media), header("Accept", "application/json"))
		a.vended(t, w.filled(sentUpdate))
		if got := a.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: the answer is of type %q", media, got)
		}
	}
	a := w.vend(t, alice, `{"action":"customer.update"}`, header("Content-Encoding", "identity"))
	a.vended(t, w.filled(sentUpdate))
}

func TestOtherMediaTypesAreRefused(t *testing.T) {
	w := newWorld(t)
	const content = `{"action":"customer.read"}`
	for name, edit := range map[string]with{
		"no type":                    without("Content-Type"),
		"an empty type":              header("Content-Type", ""),
		"text":                       header("Content-Type", "text/plain"),
		"text that is all":           header("Content-Type", "text/plain; a=application/json"),
		"a form":                     header("Content-Type", "application/x-www-form-urlencoded"),
		"a multipart":                header("Content-Type", "multipart/form-data; boundary=x"),
		"html":                       header("Content-Type", "text/html"),
		"other JSON":                 header("Content-Type", "application/problem+json"),
		"nearly JSON":                header("Content-Type", "application/jsonx"),
		"two types":                  header("Content-Type", "application/json, text/plain"),
		"no type at all":             header("Content-Type", ";"),
		"gzip":                       header("Content-Encoding", "gzip"),
		"br":                         header("Content-Encoding", "br"),
		"an old gzip":                header("Content-Encoding", "x-gzip"),
		"two codings":                header("Content-Encoding", "identity, gzip"),
		"two codings in two headers": header("Content-Encoding", "identity", "gzip"),
	} {
		t.Run(name, func(t *testing.T) {
			a := w.vend(t, alice, content, edit)
			a.refused(t, http.StatusUnsupportedMediaType, "UnsupportedMediaType")
		})
	}
}

func TestABodyIsNeverInflated(t *testing.T) {
	w := newWorld(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(`{"action":"customer.read"}`)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	a := w.vend(t, alice, packed.String(), header("Content-Encoding", "gzip"))
	a.refused(t, http.StatusUnsupportedMediaType, "UnsupportedMediaType")
	a = w.vend(t, alice, packed.String())
	a.refused(t, http.StatusBadRequest, "BadRequest")
}
