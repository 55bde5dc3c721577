package provider

import (
	"bytes"
	"net/http"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// pages contain only HTML. html/template escapes the users' names.
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
<p>{{.Client}} asks you to sign in. This demo has no passwords: choose any user.</p>
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

// pagePolicy allows nothing but the form. It sets no form-action: browsers apply
// it to the redirect after the form too, and that leads to the client.
const pagePolicy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"

// show writes a page.
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

// serveLogin answers a pending authorization request. It shows the login page
// unless the browser's session already answers the request.
func (p *Provider) serveLogin(w http.ResponseWriter, r *http.Request) {
	asked, pending := p.store.request(r.FormValue("id"))
	if !pending {
		http.Error(w, errSignInOver.Error(), http.StatusBadRequest)
		return
	}
	if in, ok := p.sessionOf(r); ok && asked.answeredBy(in) {
		p.proceed(w, r, asked, in)
		return
	}
	if asked.silent() {
		p.refuse(w, r, asked, oidc.ErrLoginRequired())
		return
	}
	p.show(w, "login", map[string]any{
		"ID": asked.id, "Client": asked.ClientID, "Issuer": p.options.BrowserURL,
		"Users": p.users.names(),
	})
}

// serveSignIn takes the form of the login page.
func (p *Provider) serveSignIn(w http.ResponseWriter, r *http.Request) {
	asked, pending := p.store.request(r.PostFormValue("id"))
	if !pending {
		http.Error(w, errSignInOver.Error(), http.StatusBadRequest)
		return
	}
	if r.PostForm.Has("cancel") {
		p.refuse(w, r, asked, oidc.ErrAccessDenied())
		return
	}
	user := r.PostFormValue("user")
	if _, err := p.claimsOf(user); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.proceed(w, r, asked, p.signIn(w, r, user))
}

// signIn signs the browser in as user, who exists. Another user's session in this
// browser is kept until it expires: EndUser still needs its list of clients.
func (p *Provider) signIn(w http.ResponseWriter, r *http.Request, user string) session {
	if in, ok := p.sessionOf(r); ok && in.user == user {
		if in, ok = p.store.renewSession(in.sid); ok {
			return in
		}
	}
	cookie, in := p.store.beginSession(user)
	p.setCookie(w, cookie)
	return in
}

// serveLoginAs signs the browser in without the login page, and goes to a page of
// a client, which then finds a session. Pages of other sites may not do this.
func (p *Provider) serveLoginAs(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		http.Error(w, "a page of another site may not sign a browser in", http.StatusForbidden)
		return
	}
	then := r.FormValue("then")
	if !p.store.hasPage(then) {
		http.Error(w, "then is not a page of a client", http.StatusBadRequest)
		return
	}
	user := r.FormValue("user")
	if _, err := p.claimsOf(user); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	p.signIn(w, r, user)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, then, http.StatusSeeOther) //nolint:gosec // hasPage has checked the origin
}

// proceed returns the answered request to op, which issues the code.
func (p *Provider) proceed(w http.ResponseWriter, r *http.Request, asked request, in session) {
	p.store.answer(asked.id, in)
	ctx := op.ContextWithIssuer(r.Context(), p.options.BrowserURL) // builds the URL, and nothing else
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
