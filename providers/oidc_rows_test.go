package providers_test

// The documents and claims below follow the providers' documentation.

func oidcRows() []oidcRow {
	return append(largeRows(), append(hostedSignIns(), append(ownSignIns(), impossibleSignIns()...)...)...)
}

const entra = "https://login.microsoftonline.com/" + tenant

// entraDocument is the same for a tenant and for all tenants, except for its issuer.
func entraDocument(issuer, at string) object {
	return described(issuer, `
		authorization_endpoint=`+at+`/oauth2/v2.0/authorize
		token_endpoint=`+at+`/oauth2/v2.0/token
		jwks_uri=`+at+`/discovery/v2.0/keys
		userinfo_endpoint=https://graph.microsoft.com/oidc/userinfo
		end_session_endpoint=`+at+`/oauth2/v2.0/logout
		token_endpoint_auth_methods_supported=client_secret_post,private_key_jwt,client_secret_basic
		id_token_signing_alg_values_supported=RS256`)
}

// entraClaims are the claims of an ID token of Entra.
func entraClaims() object {
	return object{
		"sub": "pairwise", "oid": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb", "tid": tenant, "ver": "2.0", "uti": "u", "rh": "r",
		"preferred_username": "ann@example.com", "name": "Ann",
	}
}

// largeRows are the providers with the most users.
func largeRows() []oidcRow {
	return []oidcRow{
		{
			name: "Google",
			settings: `
				AUTH_OIDC_ISSUER=https://accounts.google.com
				AUTH_OIDC_CLIENT_ID=1234-abc.apps.googleusercontent.com`,
			document: described("https://accounts.google.com", `
				authorization_endpoint=/o/oauth2/v2/auth
				token_endpoint=https://oauth2.googleapis.com/token
				jwks_uri=https://www.googleapis.com/oauth2/v3/certs
				userinfo_endpoint=https://openidconnect.googleapis.com/v1/userinfo
				token_endpoint_auth_methods_supported=client_secret_post,client_secret_basic
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256",
			claims: object{
				"azp": "1234-abc.apps.googleusercontent.com", "sub": "110169484474386276334", "at_hash": hashed, "email": "ann@example.com", "email_verified": true, "name": "Ann",
			},
			user: "110169484474386276334",
		},
		{
			name: "Microsoft Entra, one tenant",
			settings: `
				AUTH_OIDC_ISSUER=https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0
				AUTH_OIDC_CLIENT_ID=11112222-bbbb-3333-cccc-4444dddd5555
				AUTH_USER_CLAIM=oid`,
			document: entraDocument(entra+"/v2.0", entra), algorithm: "RS256", claims: entraClaims(), userinfo: object{"email": "ann@example.com"},
			user: "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
		},
		{
			name: "Microsoft Entra, one tenant, with a certificate",
			settings: `
				AUTH_OIDC_ISSUER=https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0
				AUTH_OIDC_CLIENT_ID=11112222-bbbb-3333-cccc-4444dddd5555
				AUTH_OIDC_CLIENT_KEYS_FILE=/run/secrets/oidc-client-key.pem
				AUTH_USER_CLAIM=oid`,
			document: entraDocument(entra+"/v2.0", entra), algorithm: "RS256", claims: entraClaims(), userinfo: object{"email": "ann@example.com"},
			user: "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
		},
		{
			name: "Apple",
			settings: `
				AUTH_OIDC_ISSUER=https://appleid.apple.com
				AUTH_OIDC_CLIENT_ID=com.example.app
				AUTH_OIDC_SCOPES=openid`,
			document: described("https://appleid.apple.com", `
				authorization_endpoint=/auth/authorize
				token_endpoint=/auth/token
				jwks_uri=/auth/keys
				token_endpoint_auth_methods_supported=client_secret_post
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256", claims: object{"sub": "001234.abcd", "at_hash": hashed, "nonce_supported": true, "auth_time": 1},
			user: "001234.abcd",
		},
		{
			name: "GitLab",
			settings: `
				AUTH_OIDC_ISSUER=https://gitlab.com
				AUTH_OIDC_CLIENT_ID=f1e2exampleapplication`,
			document: described("https://gitlab.com", `
				authorization_endpoint=/oauth/authorize
				token_endpoint=/oauth/token
				jwks_uri=/oauth/discovery/keys
				userinfo_endpoint=/oauth/userinfo
				token_endpoint_auth_methods_supported=client_secret_basic,client_secret_post
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256", claims: object{"sub": "42", "sub_legacy": "a1", "auth_time": 1, "groups_direct": []string{"shop"}},
			userinfo: object{"name": "Ann", "email": "ann@example.com", "email_verified": true},
			user:     "42",
		},
	}
}

// hostedSignIns are identity services in the cloud.
func hostedSignIns() []oidcRow {
	return []oidcRow{
		{
			name: "Auth0",
			settings: `
				AUTH_OIDC_ISSUER=https://example.eu.auth0.com/
				AUTH_OIDC_CLIENT_ID=Xy1exampleclient
				AUTH_OIDC_CLIENT_AUTH=client_secret_post
				CUSTOMER_CLAIM=https://example.com/dwolla_customer`,
			document: described("https://example.eu.auth0.com/", `
				authorization_endpoint=/authorize
				token_endpoint=/oauth/token
				jwks_uri=/.well-known/jwks.json
				userinfo_endpoint=/userinfo
				end_session_endpoint=/oidc/logout
				token_endpoint_auth_methods_supported=client_secret_post,private_key_jwt,none
				id_token_signing_alg_values_supported=HS256,RS256,PS256`),
			algorithm: "RS256",
			claims:    object{"sub": "auth0|65f0", "sid": "s", "name": "Ann", "email": "ann@example.com", "email_verified": true, "https://example.com/dwolla_customer": customer},
			user:      "auth0|65f0", customer: true,
		},
		{
			name: "Okta, with pushed requests and a key",
			settings: `
				AUTH_OIDC_ISSUER=https://example.okta.com/oauth2/default
				AUTH_OIDC_CLIENT_ID=0oa1exampleclient
				AUTH_OIDC_CLIENT_KEYS_FILE=/run/secrets/oidc-client-key.pem`,
			document: described("https://example.okta.com/oauth2/default", `
				authorization_endpoint=/v1/authorize
				token_endpoint=/v1/token
				jwks_uri=/v1/keys
				userinfo_endpoint=/v1/userinfo
				end_session_endpoint=/v1/logout
				pushed_authorization_request_endpoint=/v1/par
				token_endpoint_auth_methods_supported=client_secret_basic,client_secret_post,client_secret_jwt,private_key_jwt,none
				token_endpoint_auth_signing_alg_values_supported=HS256,RS256,ES256
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256", claims: object{"sub": "00u1abc", "ver": 1, "amr": []string{"pwd"}, "idp": "00o1", "at_hash": hashed, "auth_time": 1},
			userinfo: object{"name": "Ann", "email": "ann@example.com", "email_verified": true},
			user:     "00u1abc",
		},
		{
			name: "Amazon Cognito",
			settings: `
				AUTH_OIDC_ISSUER=https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E
				AUTH_OIDC_CLIENT_ID=3nq7examplewebclient
				CUSTOMER_CLAIM=custom:dwolla_customer`,
			document: described(cognito, `
				authorization_endpoint=https://shop.auth.eu-west-1.amazoncognito.com/oauth2/authorize
				token_endpoint=https://shop.auth.eu-west-1.amazoncognito.com/oauth2/token
				jwks_uri=/.well-known/jwks.json
				userinfo_endpoint=https://shop.auth.eu-west-1.amazoncognito.com/oauth2/userInfo
				end_session_endpoint=https://shop.auth.eu-west-1.amazoncognito.com/logout
				token_endpoint_auth_methods_supported=client_secret_basic,client_secret_post
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256",
			claims: object{
				"sub": cognitoUser, "token_use": "id", "cognito:username": "ann", "at_hash": hashed, "email": "ann@example.com", "email_verified": true, "custom:dwolla_customer": customer,
			},
			userinfo: object{"username": "ann", "email": "ann@example.com", "email_verified": "true"},
			user:     cognitoUser, customer: true,
		},
		{
			name: "Kinde",
			settings: `
				AUTH_OIDC_ISSUER=https://example.kinde.com
				AUTH_OIDC_CLIENT_ID=2a1bexampleclient`,
			document: described("https://example.kinde.com", `
				authorization_endpoint=/oauth2/auth
				token_endpoint=/oauth2/token
				jwks_uri=/.well-known/jwks
				userinfo_endpoint=/oauth2/v2/user_profile
				end_session_endpoint=/logout
				token_endpoint_auth_methods_supported=client_secret_basic,client_secret_post,none
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256",
			claims: object{
				"aud": []string{"https://example.kinde.com", "2a1bexampleclient"}, "azp": "2a1bexampleclient", "sub": "kp_77", "at_hash": hashed, "name": "Ann", "email": "ann@example.com", "rat": 1,
			},
			user: "kp_77",
		},
		{
			name: "WorkOS AuthKit",
			settings: `
				AUTH_OIDC_ISSUER=https://example.authkit.app
				AUTH_OIDC_CLIENT_ID=client_01HXYZ`,
			document: described("https://example.authkit.app", `
				authorization_endpoint=/oauth2/authorize
				token_endpoint=/oauth2/token
				jwks_uri=/oauth2/jwks
				userinfo_endpoint=/oauth2/userinfo
				token_endpoint_auth_methods_supported=none,client_secret_post,client_secret_basic
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256", claims: object{"sub": "user_01HBEQ", "sid": "session_01HQ"},
			userinfo: object{"name": "Ann", "email": "ann@example.com", "email_verified": true},
			user:     "user_01HBEQ",
		},
		{
			name: "PingOne",
			settings: `
				AUTH_OIDC_ISSUER=https://auth.pingone.eu/3c219e58-ed0e-4b18-ad48-f4f92793ae32/as
				AUTH_OIDC_CLIENT_ID=7a1dexampleapplication`,
			document: described("https://auth.pingone.eu/3c219e58-ed0e-4b18-ad48-f4f92793ae32/as", `
				authorization_endpoint=/authorize
				token_endpoint=/token
				jwks_uri=/jwks
				userinfo_endpoint=/userinfo
				end_session_endpoint=/signoff
				pushed_authorization_request_endpoint=/par
				token_endpoint_auth_methods_supported=none,client_secret_basic,client_secret_post,client_secret_jwt,private_key_jwt
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256", claims: object{"sub": "5f1c", "env": "3c219e58", "org": "o", "p1.region": "EU", "sid": "s", "acr": "Single_Factor", "at_hash": hashed},
			userinfo: object{"name": "Ann", "email": "ann@example.com"},
			user:     "5f1c",
		},
		{
			name: "Supabase, OAuth server",
			settings: `
				AUTH_OIDC_ISSUER=https://abcdefgh.supabase.co/auth/v1
				AUTH_OIDC_CLIENT_ID=9a8bexampleclient`,
			document: described("https://abcdefgh.supabase.co/auth/v1", `
				authorization_endpoint=/oauth/authorize
				token_endpoint=/oauth/token
				jwks_uri=/.well-known/jwks.json
				userinfo_endpoint=/oauth/userinfo
				token_endpoint_auth_methods_supported=client_secret_basic,client_secret_post,none
				id_token_signing_alg_values_supported=RS256,HS256,ES256`),
			algorithm: "ES256", claims: object{"sub": "b7e1", "email": "ann@example.com", "email_verified": true, "name": "Ann", "auth_time": 1},
			user: "b7e1",
		},
	}
}
