package providers_test

import "strings"

func moreHostedRows() []bearerRow {
	return []bearerRow{
		{
			name: "Microsoft Entra, access token v2",
			settings: `
				AUTH_BEARER_ISSUER=https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0
				AUTH_BEARER_AUDIENCE=11112222-bbbb-3333-cccc-4444dddd5555
				AUTH_USER_CLAIM=oid`,
			pages: discovered("https://login.microsoftonline.com/"+tenant+"/v2.0", "https://login.microsoftonline.com/"+tenant+"/discovery/v2.0/keys", "RS256"),
			token: token{"RS256", object{"typ": "JWT", "x5t": "thumb"}, object{
				"iss": "https://login.microsoftonline.com/" + tenant + "/v2.0", "aud": "11112222-bbbb-3333-cccc-4444dddd5555", "azp": "22223333",
				"oid": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb", "sub": "pairwise", "tid": tenant, "ver": "2.0", "groups": entraGroups(),
			}},
			user: "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
		},
		{
			name: "Microsoft Entra, access token v1",
			settings: `
				AUTH_BEARER_ISSUER=https://sts.windows.net/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/
				AUTH_BEARER_AUDIENCE=api://dropgate
				AUTH_BEARER_CLIENT_IDS=22223333-cccc-4444-dddd-5555eeee6666
				AUTH_BEARER_JWKS_URL=https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/discovery/keys?appid=22223333-cccc-4444-dddd-5555eeee6666
				AUTH_USER_CLAIM=oid`,
			pages: published("https://login.microsoftonline.com/"+tenant+"/discovery/keys", "RS256"),
			token: token{"RS256", object{"typ": "JWT"}, object{
				"iss": "https://sts.windows.net/" + tenant + "/", "aud": "api://dropgate", "appid": "22223333-cccc-4444-dddd-5555eeee6666",
				"oid": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb", "sub": "pairwise", "ver": "1.0", "scp": "pay",
			}},
			user: "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
		},
		{
			name: "Google, ID token",
			settings: `
				AUTH_BEARER_ISSUER=https://accounts.google.com
				AUTH_BEARER_AUDIENCE=1234-abc.apps.googleusercontent.com`,
			pages: discovered("https://accounts.google.com", "https://www.googleapis.com/oauth2/v3/certs", "RS256"),
			token: token{"RS256", object{"typ": "JWT"}, object{
				"iss": "https://accounts.google.com", "azp": "1234-abc.apps.googleusercontent.com", "aud": "1234-abc.apps.googleusercontent.com",
				"sub": "110169484474386276334", "email": "ann@example.com", "email_verified": true,
			}},
			user: "110169484474386276334",
		},
		{
			name: "Apple, identity token",
			settings: `
				AUTH_BEARER_ISSUER=https://appleid.apple.com
				AUTH_BEARER_AUDIENCE=com.example.app
				AUTH_USER_CLAIM=email`,
			pages: discovered("https://appleid.apple.com", "https://appleid.apple.com/auth/keys", "RS256"),
			token: token{"RS256", nil, object{
				"iss": "https://appleid.apple.com", "aud": "com.example.app", "sub": "001234.abcd", "email": "Ann@privaterelay.appleid.com", "email_verified": "true",
			}},
			user: "ann@privaterelay.appleid.com",
		},
	}
}

// entraGroups are as many groups as an access token of Entra may list.
func entraGroups() []string {
	groups := make([]string, 200)
	for i := range groups {
		groups[i] = strings.Repeat("a", 8) + "-0000-1111-2222-" + strings.Repeat("b", 12)
	}
	return groups
}

// ownRows are servers that people run themselves.
func ownRows() []bearerRow {
	return []bearerRow{
		{
			name: "Keycloak 26, access token",
			settings: `
				AUTH_BEARER_ISSUER=https://id.example.com/realms/shop
				AUTH_BEARER_AUDIENCE=account
				AUTH_BEARER_CLIENT_IDS=shop-web
				AUTH_BEARER_REQUIRED_CLAIMS=typ=Bearer`,
			pages: discovered("https://id.example.com/realms/shop", "https://id.example.com/realms/shop/protocol/openid-connect/certs", "RS256"),
			token: token{"RS256", object{"typ": "JWT"}, object{
				"iss": "https://id.example.com/realms/shop", "aud": "account", "azp": "shop-web", "sub": "f3a9", "typ": "Bearer", "sid": "s",
				"acr": "1", "allowed-origins": []string{"https://app.example.com"}, "realm_access": object{"roles": []string{"user"}}, "scope": "openid",
			}},
			user: "f3a9",
		},
		{
			name: "Zitadel, access token",
			settings: `
				AUTH_BEARER_ISSUER=https://example.zitadel.cloud
				AUTH_BEARER_AUDIENCE=69234237810729019
				AUTH_BEARER_CLIENT_IDS=69234237810729234`,
			pages: discovered("https://example.zitadel.cloud", "https://example.zitadel.cloud/oauth/v2/keys", "RS256"),
			token: token{"RS256", object{"typ": "at+jwt"}, object{
				"iss": "https://example.zitadel.cloud", "aud": []string{"69234237810729234", "69234237810729019"}, "client_id": "69234237810729234",
				"sub": "69629026806489455", "jti": "1",
			}},
			user: "69629026806489455",
		},
		{
			name: "Authentik, access token",
			settings: `
				AUTH_BEARER_ISSUER=https://auth.example.com/application/o/shop/
				AUTH_BEARER_AUDIENCE=k7exampleclient`,
			pages: discovered("https://auth.example.com/application/o/shop/", "https://auth.example.com/application/o/shop/jwks/", "RS256"),
			token: token{"RS256", object{"typ": "JWT"}, object{
				"iss": "https://auth.example.com/application/o/shop/", "aud": "k7exampleclient", "azp": "k7exampleclient", "sub": "5b1f", "uid": "u", "groups": []string{"shop"},
			}},
			user: "5b1f",
		},
		{
			name: "FusionAuth, access token",
			settings: `
				AUTH_BEARER_ISSUER=acme.com
				AUTH_BEARER_AUDIENCE=3c219e58-ed0e-4b18-ad48-f4f92793ae32
				AUTH_BEARER_JWKS_URL=https://auth.example.com/.well-known/jwks.json
				AUTH_BEARER_REQUIRED_CLAIMS=applicationId=3c219e58-ed0e-4b18-ad48-f4f92793ae32`,
			pages: published("https://auth.example.com/.well-known/jwks.json", "RS256"),
			token: token{"RS256", object{"typ": "JWT", "gty": []string{"authorization_code"}}, object{
				"iss": "acme.com", "aud": "3c219e58-ed0e-4b18-ad48-f4f92793ae32", "applicationId": "3c219e58-ed0e-4b18-ad48-f4f92793ae32",
				"sub": "7e5d3f2a", "authenticationType": "PASSWORD", "email_verified": true, "tid": "t",
			}},
			user: "7e5d3f2a",
		},
		{
			name: "Ory Hydra, access token",
			settings: `
				AUTH_BEARER_ISSUER=https://hydra.example.com/
				AUTH_BEARER_CLIENT_IDS=shop-web
				CUSTOMER_CLAIM=ext.dwolla_customer`,
			pages: discovered("https://hydra.example.com/", "https://hydra.example.com/.well-known/jwks.json", "RS256"),
			token: token{"RS256", object{"typ": "JWT"}, object{
				"iss": "https://hydra.example.com/", "aud": []string{}, "client_id": "shop-web", "sub": "9d1c", "scp": []string{"openid"}, "ext": object{"dwolla_customer": customer},
			}},
			user: "9d1c", customer: true,
		},
		{
			name: "Logto, access token",
			settings: `
				AUTH_BEARER_ISSUER=https://logto.example.com/oidc
				AUTH_BEARER_AUDIENCE=https://dropgate.example.com
				AUTH_BEARER_TOKEN_TYPE=at+jwt`,
			pages: discovered("https://logto.example.com/oidc", "https://logto.example.com/oidc/jwks", "ES384"),
			token: token{"ES384", object{"typ": "at+jwt"}, object{
				"iss": "https://logto.example.com/oidc", "aud": "https://dropgate.example.com", "client_id": "c1", "sub": "u5gq", "scope": "pay",
			}},
			user: "u5gq",
		},
		{
			name: "better-auth, token of the JWT plugin",
			settings: `
				AUTH_BEARER_ISSUER=https://app.example.com
				AUTH_BEARER_AUDIENCE=https://app.example.com
				AUTH_BEARER_JWKS_URL=https://app.example.com/api/auth/jwks`,
			pages: published("https://app.example.com/api/auth/jwks", "EdDSA"),
			token: token{"EdDSA", nil, object{
				"iss": "https://app.example.com", "aud": "https://app.example.com", "sub": "Zx81", "id": "Zx81", "name": "Ann", "email": "ann@example.com", "emailVerified": true,
			}},
			user: "Zx81",
		},
		{
			name: "Laravel Passport, access token",
			settings: `
				AUTH_BEARER_ISSUER=https://app.example.com
				AUTH_BEARER_AUDIENCE=1
				AUTH_BEARER_JWKS_URL=https://app.example.com/keys`,
			pages:  published("https://app.example.com/keys", "RS256"),
			token:  token{"RS256", object{"typ": "JWT"}, object{"aud": "1", "sub": "42", "jti": "j", "scopes": []string{}}},
			reason: `iss is "", expected "https://app.example.com"`,
		},
	}
}

// proxyRows are proxies that sign a token for the service behind them.
func proxyRows() []bearerRow {
	return []bearerRow{
		{
			name: "Google Identity-Aware Proxy",
			settings: `
				AUTH_BEARER_ISSUER=https://cloud.google.com/iap
				AUTH_BEARER_AUDIENCE=/projects/123456/global/backendServices/987
				AUTH_BEARER_JWKS_URL=https://www.gstatic.com/iap/verify/public_key-jwk
				AUTH_BEARER_HEADER=X-Goog-IAP-JWT-Assertion`,
			pages:  published("https://www.gstatic.com/iap/verify/public_key-jwk", "ES256"),
			header: "X-Goog-IAP-JWT-Assertion",
			token: token{"ES256", object{"typ": "JWT"}, object{
				"iss": "https://cloud.google.com/iap", "aud": "/projects/123456/global/backendServices/987", "azp": "/projects/123456/global/backendServices/987",
				"sub": "accounts.google.com:110169", "email": "ann@example.com", "hd": "example.com",
			}},
			user: "accounts.google.com:110169",
		},
		{
			name: "Cloudflare Access",
			settings: `
				AUTH_BEARER_ISSUER=https://example.cloudflareaccess.com
				AUTH_BEARER_AUDIENCE=32eafc7626e737862a1aa0d0fd4e2e4b
				AUTH_BEARER_JWKS_URL=https://example.cloudflareaccess.com/cdn-cgi/access/certs
				AUTH_BEARER_HEADER=Cf-Access-Jwt-Assertion`,
			pages:  object{"https://example.cloudflareaccess.com/cdn-cgi/access/certs": cloudflareKeys()},
			header: "Cf-Access-Jwt-Assertion",
			token: token{"RS256", nil, object{
				"iss": "https://example.cloudflareaccess.com", "aud": []string{"32eafc7626e737862a1aa0d0fd4e2e4b"}, "sub": "ca639bb9", "type": "app",
				"email": "ann@example.com", "identity_nonce": "n", "country": "US",
			}},
			user: "ca639bb9",
		},
		{
			name: "Pomerium",
			settings: `
				AUTH_BEARER_ISSUER=app.example.com
				AUTH_BEARER_AUDIENCE=app.example.com
				AUTH_BEARER_JWKS_URL=https://app.example.com/.well-known/pomerium/jwks.json
				AUTH_BEARER_HEADER=X-Pomerium-Jwt-Assertion`,
			pages:  published("https://app.example.com/.well-known/pomerium/jwks.json", "ES256"),
			header: "X-Pomerium-Jwt-Assertion",
			token: token{"ES256", object{"typ": "JWT"}, object{
				"iss": "app.example.com", "aud": "app.example.com", "sub": "google/110169", "email": "ann@example.com", "groups": []string{"shop"}, "jti": "j",
			}},
			user: "google/110169",
		},
		{
			name: "AWS load balancer with Cognito, access token",
			settings: cognitoSettings + `
				AUTH_BEARER_HEADER=X-Amzn-Oidc-Accesstoken`,
			pages: discovered(cognito, cognitoKeys, "RS256"), header: "X-Amzn-Oidc-Accesstoken",
			token: cognitoAccess(), user: cognitoUser,
		},
		{
			name: "AWS load balancer, X-Amzn-Oidc-Data",
			settings: cognitoSettings + `
				AUTH_BEARER_HEADER=X-Amzn-Oidc-Data`,
			pages: discovered(cognito, cognitoKeys, "RS256"), header: "X-Amzn-Oidc-Data",
			raw:    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0=.c2ln",
			reason: "use x-amzn-oidc-accesstoken",
		},
	}
}

// cloudflareKeys is a key set with further members.
func cloudflareKeys() any {
	return object{"keys": must(toObject(keys("RS256")))["keys"], "public_cert": object{"kid": "x", "cert": "y"}, "public_certs": []any{}}
}
