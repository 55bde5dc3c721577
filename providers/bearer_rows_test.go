package providers_test

// The tokens below follow the providers' documentation.

func bearerRows() []bearerRow {
	return append(hostedRows(), append(ownRows(), proxyRows()...)...)
}

const discovery = "/.well-known/openid-configuration"

// discovered are the documents of a provider with OpenID discovery.
func discovered(issuer, keysURL, algorithm string) object {
	base := issuer
	if base[len(base)-1] == '/' {
		base = base[:len(base)-1]
	}
	return object{
		base + discovery: object{"issuer": issuer, "jwks_uri": keysURL},
		keysURL:          keys(algorithm),
	}
}

// published are the documents of a provider without discovery.
func published(keysURL, algorithm string) object { return object{keysURL: keys(algorithm)} }

const (
	cognito         = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E"
	cognitoKeys     = cognito + "/.well-known/jwks.json"
	cognitoUser     = "b2a5e4a4-50d1-7008-3b1c-0f6d2a1b9c3e"
	cognitoSettings = `
		AUTH_BEARER_ISSUER=https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E
		AUTH_BEARER_CLIENT_IDS=3nq7examplewebclient
		AUTH_BEARER_REQUIRED_CLAIMS=token_use=access`
	tenant = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
)

func cognitoAccess() token {
	return token{"RS256", nil, object{
		"sub": cognitoUser, "iss": cognito, "client_id": "3nq7examplewebclient", "token_use": "access", "scope": "openid profile",
		"username": "ann", "version": 2, "origin_jti": "f0", "event_id": "e1", "jti": "j1", "cognito:groups": []string{"buyers"},
	}}
}

// hostedRows are services in the cloud.
func hostedRows() []bearerRow {
	return append(hostedRowsWithAudience(), hostedRowsWithout()...)
}

// hostedRowsWithout are tokens without an audience.
func hostedRowsWithout() []bearerRow {
	return []bearerRow{
		{
			name: "Amazon Cognito, access token", settings: cognitoSettings, pages: discovered(cognito, cognitoKeys, "RS256"),
			token: cognitoAccess(), user: cognitoUser,
		},
		{
			name: "Amazon Cognito, ID token", settings: cognitoSettings, pages: discovered(cognito, cognitoKeys, "RS256"),
			token: token{"RS256", nil, object{
				"sub": cognitoUser, "iss": cognito, "aud": "3nq7examplewebclient", "token_use": "id", "email": "ann@example.com", "email_verified": true,
			}},
			reason: `aud is ["3nq7examplewebclient"], expected none`,
		},
		{
			name: "Clerk, session token",
			settings: `
				AUTH_BEARER_ISSUER=https://clerk.example.com
				AUTH_BEARER_JWKS_URL=https://clerk.example.com/.well-known/jwks.json
				AUTH_BEARER_CLIENT_IDS=https://app.example.com
				AUTH_BEARER_COOKIE=__session`,
			pages: published("https://clerk.example.com/.well-known/jwks.json", "RS256"),
			token: token{"RS256", object{"typ": "JWT", "cat": "cl_B7d4PD111AAA"}, object{
				"iss": "https://clerk.example.com", "azp": "https://app.example.com", "sub": "user_2b3XyZ", "sid": "sess_2b4", "v": 2, "fva": []int{0, -1}, "sts": "active",
			}},
			user: "user_2b3XyZ",
		},
		{
			name: "WorkOS AuthKit, access token",
			settings: `
				AUTH_BEARER_ISSUER=https://api.workos.com/user_management/client_01HXYZ
				AUTH_BEARER_JWKS_URL=https://api.workos.com/sso/jwks/client_01HXYZ
				AUTH_BEARER_REQUIRED_CLAIMS=iss=https://api.workos.com/user_management/client_01HXYZ`,
			pages: published("https://api.workos.com/sso/jwks/client_01HXYZ", "RS256"),
			token: token{"RS256", nil, object{
				"iss": "https://api.workos.com/user_management/client_01HXYZ", "sub": "user_01HBEQ", "sid": "session_01HQ", "org_id": "org_01HR",
				"role": "member", "permissions": []string{"pay"}, "jti": "01HQ",
			}},
			user: "user_01HBEQ",
		},
		{
			name: "Descope, session token",
			settings: `
				AUTH_BEARER_ISSUER=https://api.descope.com/v1/apps/P2abcDEF
				AUTH_BEARER_JWKS_URL=https://api.descope.com/P2abcDEF/.well-known/jwks.json
				AUTH_BEARER_REQUIRED_CLAIMS=drn=DS`,
			pages: published("https://api.descope.com/P2abcDEF/.well-known/jwks.json", "RS256"),
			token: token{"RS256", object{"typ": "JWT"}, object{
				"iss": "https://api.descope.com/v1/apps/P2abcDEF", "sub": "U2xyz", "drn": "DS", "amr": []string{"email"}, "rexp": "2026-12-24T00:00:00Z",
			}},
			user: "U2xyz",
		},
		{
			name: "Kinde, access token",
			settings: `
				AUTH_BEARER_ISSUER=https://example.kinde.com
				AUTH_BEARER_CLIENT_IDS=2a1bexampleclient`,
			pages: discovered("https://example.kinde.com", "https://example.kinde.com/.well-known/jwks", "RS256"),
			token: token{"RS256", nil, object{
				"iss": "https://example.kinde.com", "aud": []string{}, "azp": "2a1bexampleclient", "sub": "kp_3f2a", "scp": []string{"openid"}, "org_code": "org_1",
			}},
			user: "kp_3f2a",
		},
	}
}

// hostedRowsWithAudience are tokens with an audience.
func hostedRowsWithAudience() []bearerRow {
	return append([]bearerRow{
		{
			name: "Auth0, access token",
			settings: `
				AUTH_BEARER_ISSUER=https://example.eu.auth0.com/
				AUTH_BEARER_AUDIENCE=https://dropgate.example.com
				AUTH_BEARER_CLIENT_IDS=Xy1exampleclient
				CUSTOMER_CLAIM=https://example.com/dwolla_customer`,
			pages: discovered("https://example.eu.auth0.com/", "https://example.eu.auth0.com/.well-known/jwks.json", "RS256"),
			token: token{"RS256", object{"typ": "JWT"}, object{
				"iss": "https://example.eu.auth0.com/", "sub": "auth0|5f7c8ec7", "aud": []string{"https://dropgate.example.com", "https://example.eu.auth0.com/userinfo"},
				"azp": "Xy1exampleclient", "scope": "openid profile", "https://example.com/dwolla_customer": customer,
			}},
			user: "auth0|5f7c8ec7", customer: true,
		},
		{
			name: "Auth0, access token without an audience",
			settings: `
				AUTH_BEARER_ISSUER=https://example.eu.auth0.com/
				AUTH_BEARER_AUDIENCE=https://dropgate.example.com`,
			pages:  discovered("https://example.eu.auth0.com/", "https://example.eu.auth0.com/.well-known/jwks.json", "RS256"),
			raw:    "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y2lwaGVy.dGFn",
			reason: "an encrypted token (JWE)",
		},
		{
			name: "Okta, access token",
			settings: `
				AUTH_BEARER_ISSUER=https://example.okta.com/oauth2/default
				AUTH_BEARER_AUDIENCE=api://default
				AUTH_BEARER_CLIENT_IDS=0oa1exampleclient
				AUTH_USER_CLAIM=uid`,
			pages: discovered("https://example.okta.com/oauth2/default", "https://example.okta.com/oauth2/default/v1/keys", "RS256"),
			token: token{"RS256", nil, object{
				"ver": 1, "jti": "AT.1", "iss": "https://example.okta.com/oauth2/default", "aud": "api://default", "cid": "0oa1exampleclient",
				"uid": "00u1abc", "scp": []string{"openid"}, "sub": "ann@example.com",
			}},
			user: "00u1abc",
		},
		{
			name: "Supabase, access token",
			settings: `
				AUTH_BEARER_ISSUER=https://abcdefgh.supabase.co/auth/v1
				AUTH_BEARER_AUDIENCE=authenticated
				AUTH_BEARER_REQUIRED_CLAIMS=is_anonymous=false
				CUSTOMER_CLAIM=app_metadata.dwolla_customer`,
			pages: discovered("https://abcdefgh.supabase.co/auth/v1", "https://abcdefgh.supabase.co/auth/v1/.well-known/jwks.json", "ES256"),
			token: token{"ES256", object{"typ": "JWT"}, supabaseClaims()},
			user:  "7b4a9c1e-5d2f-4a3b-8c6d-1e2f3a4b5c6d", customer: true,
		},
		{
			name: "Supabase, with the legacy secret",
			settings: `
				AUTH_BEARER_ISSUER=https://abcdefgh.supabase.co/auth/v1
				AUTH_BEARER_AUDIENCE=authenticated`,
			pages:  discovered("https://abcdefgh.supabase.co/auth/v1", "https://abcdefgh.supabase.co/auth/v1/.well-known/jwks.json", "ES256"),
			token:  token{"HS256", object{"typ": "JWT"}, supabaseClaims()},
			reason: `alg "HS256" signs with a shared secret`,
		},
		{
			name: "Firebase, ID token",
			settings: `
				AUTH_BEARER_ISSUER=https://securetoken.google.com/example-project
				AUTH_BEARER_AUDIENCE=example-project
				AUTH_BEARER_JWKS_URL=https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com`,
			pages: object{"https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com": certificates()},
			token: token{"RS256", object{"typ": "JWT"}, object{
				"iss": "https://securetoken.google.com/example-project", "aud": "example-project", "sub": "x7Yb2", "user_id": "x7Yb2",
				"firebase": object{"sign_in_provider": "password", "identities": object{"email": []string{"ann@example.com"}}},
			}},
			user: "x7Yb2",
		},
		{
			name: "Stytch, session token",
			settings: `
				AUTH_BEARER_ISSUER=stytch.com/project-live-c60c0abe
				AUTH_BEARER_AUDIENCE=project-live-c60c0abe
				AUTH_BEARER_JWKS_URL=https://api.stytch.com/v1/sessions/jwks/project-live-c60c0abe
				AUTH_BEARER_COOKIE=stytch_session_jwt`,
			pages: published("https://api.stytch.com/v1/sessions/jwks/project-live-c60c0abe", "RS256"),
			token: token{"RS256", object{"typ": "JWT"}, object{
				"iss": "stytch.com/project-live-c60c0abe", "aud": []string{"project-live-c60c0abe"}, "sub": "user-live-fde0",
				"https://stytch.com/session": object{"id": "session-live-1"},
			}},
			user: "user-live-fde0",
		},
	}, moreHostedRows()...)
}

func supabaseClaims() object {
	return object{
		"iss": "https://abcdefgh.supabase.co/auth/v1", "aud": "authenticated", "sub": "7b4a9c1e-5d2f-4a3b-8c6d-1e2f3a4b5c6d", "role": "authenticated",
		"is_anonymous": false, "email": "ann@example.com", "app_metadata": object{"provider": "email", "dwolla_customer": customer},
		"user_metadata": object{"dwolla_customer": "the user can write this"}, "session_id": "s",
	}
}
