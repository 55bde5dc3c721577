package provider

import (
	"bytes"
	"maps"
	"net/http"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// pages are the two that there are. Neither has a script or a style, and what
// a user is called reaches them through html/template only.
const pages = `
{{define "head"}}<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Demo identity provider</title>
<h1>Demo identity provider</h1>
{{end}}

{{define "login"}}{{template "head"}}
<p>{{.Client}} asks who you are. There are no passwords here: you are whoever you say.</p>
<form method="post" action="login">
<input type="hidden" name="id" value="{{.ID}}">
{{range .Users}}<p><button name="user" value="{{.}}">Sign in as {{.}}</button></p>
{{end}}<p><button name="cancel" value="cancel">Cancel</button></p>
</form>
<p>For developers: <code>curl -X POST '{{.Issuer}}/logout-user?user=NAME'</code> signs a user out everywhere,
and <code>curl -X POST {{.Issuer}}/rotate</code> replaces the key.</p>
</html>
{{end}}

{{define "signed-out"}}{{template "head"}}
<p>You are signed out.</p>
</html>
{{end}}
`

// pagePolicy lets a page do nothing but post its form. It leaves form-action
// out: a browser holds the redirect that answers the form against it too, and
// that one goes to the client.
const pagePolicy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"

// show writes one of the pages.
func (p *Provider) show(w http.ResponseWriter, page string, data any) {
	var text bytes.Buffer
	if err := p.pages.ExecuteTemplate(&text, page, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	_, _ = w.Write(text.Bytes())
}

// login is where a browser comes with an authorization request: to the page,
// or past it when the browser is signed in.
func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	asked, pending := p.store.request(r.FormValue("id"))
	if !pending {
		http.Error(w, over().Error(), http.StatusBadRequest)
		return
	}
	if in, ok := p.browser(r); ok && asked.answeredBy(in) {
		p.proceed(w, r, asked, in)
		return
	}
	if asked.silent() {
		p.refuse(w, r, asked, oidc.ErrLoginRequired())
		return
	}
	p.show(w, "login", map[string]any{
		"ID": asked.id, "Client": asked.ClientID, "Issuer": p.options.Issuer,
		"Users": slices.Sorted(maps.Keys(p.options.Users)),
	})
}

// signIn is the page's form.
func (p *Provider) signIn(w http.ResponseWriter, r *http.Request) {
	asked, pending := p.store.request(r.PostFormValue("id"))
	if !pending {
		http.Error(w, over().Error(), http.StatusBadRequest)
		return
	}
	if r.PostForm.Has("cancel") {
		p.refuse(w, r, asked, oidc.ErrAccessDenied())
		return
	}
	user := r.PostFormValue("user")
	if err := p.knows(user); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// Another user's session stays until its time is over: the clients that it
	// was used for are still to hear of its end.
	in, ok := p.browser(r)
	if ok && in.user == user {
		in, ok = p.store.renewSession(in.sid)
	} else {
		ok = false
	}
	if !ok {
		var cookie string
		cookie, in = p.store.beginSession(user)
		p.setCookie(w, cookie)
	}
	p.proceed(w, r, asked, in)
}

// proceed hands the answered request back to op, which makes the code.
func (p *Provider) proceed(w http.ResponseWriter, r *http.Request, asked request, in session) {
	p.store.answer(asked.id, in)
	ctx := op.ContextWithIssuer(r.Context(), p.options.Issuer)
	http.Redirect(w, r, op.AuthCallbackURL(p.protocol)(ctx, asked.id), http.StatusSeeOther)
}

// refuse sends the browser back to the client with an error.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, asked request, why *oidc.Error) {
	p.store.dropRequest(asked.id)
	why.State = asked.State
	target, err := op.AuthResponseURL(asked.RedirectURI, asked.ResponseType, asked.ResponseMode, why, p.protocol.Encoder())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}
