package handler_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"dropgate/api"
)

// scriptFiles are the files for pages of every origin, and their types.
var scriptFiles = map[string]string{
	"/dropgate.js":   "text/javascript; charset=utf-8",
	"/dropgate.mjs":  "text/javascript; charset=utf-8",
	"/dropgate.d.ts": "text/plain; charset=utf-8",
}

func TestScriptStaysBelowEightKilobytes(t *testing.T) {
	w := newWorld(t)
	a := w.get(t, nobody, "/dropgate.js")
	if a.body != string(api.Script) || len(a.body) >= 8000 {
		t.Errorf("the script has %d bytes, want fewer than 8000", len(a.body))
	}
}

func TestModuleIsTheScriptPlusItsExports(t *testing.T) {
	w := newWorld(t)
	a := w.get(t, nobody, "/dropgate.mjs")
	exports, found := strings.CutPrefix(a.body, string(api.Script))
	if !found || !strings.Contains(exports, "export default") {
		t.Errorf("the module does not begin with the script, or ends with %q", exports)
	}
	types := w.get(t, nobody, "/dropgate.d.ts")
	if types.body != string(api.ScriptTypes) {
		t.Errorf("the types have %d bytes, want %d", len(types.body), len(api.ScriptTypes))
	}
}

func TestScriptNamesTheVersionOfTheContract(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if want := `version: "` + doc.Info.Version + `"`; !strings.Contains(string(api.Script), want) {
		t.Errorf("the script lacks %s", want)
	}
}

func TestPagesOfEveryOriginMayLoadTheScript(t *testing.T) {
	for kind, w := range map[string]*world{"none allowed": newWorld(t), "one allowed": newWorld(t, allowedOrigins(app))} {
		for path := range scriptFiles {
			for _, origin := range []string{none, "null", app, evil} {
				t.Run(kind+" "+path+" "+origin, func(t *testing.T) {
					a := w.get(t, nobody, path, fromPage("cross-site", origin), header("Sec-Fetch-Dest", "script"))
					a.readableByEveryPage(t, scriptFiles[path])
				})
			}
		}
	}
}

// readableByEveryPage fails t unless pages of every origin may read the response,
// without credentials.
func (a *answer) readableByEveryPage(t *testing.T, contentType string) {
	t.Helper()
	if a.status != http.StatusOK || a.header.Get("Content-Type") != contentType {
		t.Errorf("answer %d of type %s", a.status, a.header.Get("Content-Type"))
	}
	if got := a.header["Access-Control-Allow-Origin"]; !slices.Equal(got, []string{"*"}) {
		t.Errorf("Access-Control-Allow-Origin is %q", got)
	}
	for _, name := range []string{"Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Vary"} {
		if got := a.header[name]; got != nil {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestScriptIsSentAgainOnlyAfterChanges(t *testing.T) {
	w := newWorld(t)
	tags := map[string]bool{}
	for path := range scriptFiles {
		tag := w.get(t, nobody, path).header.Get("Etag")
		if !strings.HasPrefix(tag, `"`) || tags[tag] {
			t.Errorf("%s has ETag %s", path, tag)
		}
		tags[tag] = true
		for _, row := range []struct {
			ifNoneMatch string
			want        int
		}{
			{tag, http.StatusNotModified},
			{"W/" + tag, http.StatusNotModified}, // from a proxy that compresses
			{`"other", ` + tag, http.StatusNotModified},
			{`"other"`, http.StatusOK},
			{"garbage", http.StatusOK},
		} {
			a := w.get(t, nobody, path, header("If-None-Match", row.ifNoneMatch))
			if a.status != row.want || (len(a.body) == 0) != (a.status == http.StatusNotModified) || a.header.Get("Etag") != tag {
				t.Errorf("%s with If-None-Match %s: answer %d with %d bytes and ETag %s", path, row.ifNoneMatch, a.status, len(a.body), a.header.Get("Etag"))
			}
		}
	}
}

func TestScriptComesWhole(t *testing.T) {
	w := newWorld(t)
	a := w.get(t, nobody, "/dropgate.js", header("Range", "bytes=0-9"), header("If-Match", `"other"`))
	if a.status != http.StatusOK || a.body != string(api.Script) {
		t.Errorf("answer %d with %d bytes", a.status, len(a.body))
	}
	head := w.do(t, w.request(nobody, http.MethodHead, "/dropgate.js"))
	if head.status != http.StatusOK || head.header.Get("Content-Length") != a.header.Get("Content-Length") || head.header.Get("Etag") == "" {
		t.Errorf("HEAD: answer %d with %v", head.status, head.header)
	}
	post := w.do(t, w.request(nobody, http.MethodPost, "/dropgate.js"))
	post.refused(t, http.StatusMethodNotAllowed, "MethodNotAllowed")
}

func TestScriptUsesUpNoRateLimit(t *testing.T) {
	w := newWorld(t, limits(0, 1))
	for range 5 {
		if a := w.get(t, nobody, "/dropgate.js", fromPage("cross-site", none)); a.status != http.StatusOK {
			t.Errorf("answer %d", a.status)
		}
	}
	if a := w.get(t, alice, "/session"); a.status != http.StatusOK {
		t.Errorf("answer %d to the first counted request", a.status)
	}
}
