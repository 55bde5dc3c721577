package providers_test

// ownSignIns are servers that people run themselves.
func ownSignIns() []oidcRow {
	return append(ownSignInsWithKeycloak(), []oidcRow{
		{
			name: "Authentik",
			settings: `
				AUTH_OIDC_ISSUER=https://auth.example.com/application/o/shop/
				AUTH_OIDC_CLIENT_ID=k7exampleclient`,
			document: described("https://auth.example.com/application/o/shop/", `
				authorization_endpoint=https://auth.example.com/application/o/authorize/
				token_endpoint=https://auth.example.com/application/o/token/
				jwks_uri=/jwks/
				userinfo_endpoint=https://auth.example.com/application/o/userinfo/
				end_session_endpoint=/end-session/
				token_endpoint_auth_methods_supported=client_secret_post,client_secret_basic
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256",
			claims: object{
				"sub": "5b1f", "uid": "u", "sid": "s", "acr": "goauthentik.io/providers/oauth2/default", "name": "Ann", "email": "ann@example.com", "groups": []string{"shop"},
			},
			user: "5b1f",
		},
		{
			name:     "FusionAuth, with an RSA key for ID tokens",
			settings: fusionAuth,
			document: fusionAuthDocument(), algorithm: "RS256", claims: fusionAuthClaims(),
			user: "7e5d3f2a",
		},
		{
			name: "Ory Hydra",
			settings: `
				AUTH_OIDC_ISSUER=https://hydra.example.com
				AUTH_OIDC_CLIENT_ID=shop-web
				CUSTOMER_CLAIM=dwolla_customer`,
			document: described("https://hydra.example.com", `
				authorization_endpoint=/oauth2/auth
				token_endpoint=/oauth2/token
				jwks_uri=/.well-known/jwks.json
				userinfo_endpoint=/userinfo
				end_session_endpoint=/oauth2/sessions/logout
				token_endpoint_auth_methods_supported=client_secret_post,client_secret_basic,private_key_jwt,none
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256",
			claims: object{
				"aud": []string{"shop-web"}, "sub": "9d1c", "sid": "s", "at_hash": hashed, "rat": 1, "auth_time": 1, "jti": "j", "amr": []string{}, "dwolla_customer": customer,
			},
			user: "9d1c", customer: true,
		},
		{
			name: "Logto",
			settings: `
				AUTH_OIDC_ISSUER=https://logto.example.com/oidc
				AUTH_OIDC_CLIENT_ID=c1exampleapplication
				AUTH_OIDC_SCOPES=openid profile email custom_data
				CUSTOMER_CLAIM=custom_data.dwolla_customer`,
			document: described("https://logto.example.com/oidc", `
				authorization_endpoint=/auth
				token_endpoint=/token
				jwks_uri=/jwks
				userinfo_endpoint=/me
				end_session_endpoint=/session/end
				authorization_response_iss_parameter_supported=true
				token_endpoint_auth_methods_supported=client_secret_basic,client_secret_jwt,client_secret_post,private_key_jwt,none
				id_token_signing_alg_values_supported=ES384`),
			algorithm: "ES384", claims: object{"sub": "u5gq", "at_hash": hashed, "name": "Ann", "email": "ann@example.com", "email_verified": true},
			userinfo: object{"name": "Ann", "email": "ann@example.com", "custom_data": object{"dwolla_customer": customer}},
			user:     "u5gq", customer: true,
		},
		{
			name: "Dex",
			settings: `
				AUTH_OIDC_ISSUER=https://dex.example.com/dex
				AUTH_OIDC_CLIENT_ID=shop-web`,
			document: described("https://dex.example.com/dex", `
				authorization_endpoint=/auth
				token_endpoint=/token
				jwks_uri=/keys
				userinfo_endpoint=/userinfo
				token_endpoint_auth_methods_supported=client_secret_basic,client_secret_post
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256", claims: object{"sub": "CgNhbm4SBWxvY2Fs", "at_hash": hashed, "c_hash": "c", "name": "ann", "email": "ann@example.com", "email_verified": true},
			user: "CgNhbm4SBWxvY2Fs",
		},
	}...)
}

// ownSignInsWithKeycloak differ in where the service reaches them.
func ownSignInsWithKeycloak() []oidcRow {
	const announced = `
		authorization_response_iss_parameter_supported=true
		token_endpoint_auth_methods_supported=private_key_jwt,client_secret_basic,client_secret_post,tls_client_auth,client_secret_jwt
		id_token_signing_alg_values_supported=PS384,RS384,EdDSA,ES384,HS256,HS512,ES256,RS256,HS384,ES512,PS256,PS512,RS512`
	claims := object{
		"typ": "ID", "azp": "dropgate", "sub": "f3a9", "sid": "s", "acr": "1", "at_hash": hashed, "auth_time": 1,
		"name": "Ann", "email": "ann@example.com", "email_verified": true, "dwolla_customer": customer,
	}
	const realm, internal = "https://id.example.com/realms/shop", "https://keycloak.internal/realms/shop/protocol/openid-connect"
	return []oidcRow{
		{
			name: "Keycloak 26",
			settings: `
				AUTH_OIDC_ISSUER=https://id.example.com/realms/shop
				AUTH_OIDC_CLIENT_ID=dropgate
				CUSTOMER_CLAIM=dwolla_customer`,
			document: described(realm, announced+`
				authorization_endpoint=/protocol/openid-connect/auth
				token_endpoint=/protocol/openid-connect/token
				jwks_uri=/protocol/openid-connect/certs
				userinfo_endpoint=/protocol/openid-connect/userinfo
				end_session_endpoint=/protocol/openid-connect/logout
				pushed_authorization_request_endpoint=/protocol/openid-connect/ext/par/request`),
			algorithm: "RS256", claims: claims, user: "f3a9", customer: true,
		},
		{
			name: "Keycloak 26, with an internal back channel",
			settings: `
				AUTH_OIDC_ISSUER=https://id.example.com/realms/shop
				AUTH_OIDC_DISCOVERY_URL=https://keycloak.internal/realms/shop/.well-known/openid-configuration
				AUTH_OIDC_CLIENT_ID=dropgate
				CUSTOMER_CLAIM=dwolla_customer`,
			document: described(realm, announced+`
				authorization_endpoint=/protocol/openid-connect/auth
				token_endpoint=`+internal+`/token
				jwks_uri=`+internal+`/certs
				userinfo_endpoint=`+internal+`/userinfo
				end_session_endpoint=/protocol/openid-connect/logout
				pushed_authorization_request_endpoint=`+internal+`/ext/par/request`),
			algorithm: "RS256", claims: claims, user: "f3a9", customer: true,
		},
		{
			name: "Zitadel",
			settings: `
				AUTH_OIDC_ISSUER=https://example.zitadel.cloud
				AUTH_OIDC_CLIENT_ID=69234237810729234
				AUTH_OIDC_CLIENT_AUTH=none
				AUTH_USER_CLAIM=email`,
			document: described("https://example.zitadel.cloud", `
				authorization_endpoint=/oauth/v2/authorize
				token_endpoint=/oauth/v2/token
				jwks_uri=/oauth/v2/keys
				userinfo_endpoint=/oidc/v1/userinfo
				end_session_endpoint=/oidc/v1/end_session
				token_endpoint_auth_methods_supported=none,client_secret_basic,client_secret_post,private_key_jwt
				id_token_signing_alg_values_supported=EdDSA,RS256,RS384,RS512,ES256,ES384,ES512`),
			algorithm: "RS256",
			claims: object{
				"aud": []string{"69234237810729234", "69234237810729019"}, "azp": "69234237810729234", "client_id": "69234237810729234", "sub": "69629026806489455", "sid": "V1_1", "at_hash": hashed, "amr": []string{"pwd"},
			},
			userinfo: object{"name": "Ann", "email": "ann@example.com", "email_verified": true},
			user:     "ann@example.com",
		},
	}
}

const fusionAuth = `
	AUTH_OIDC_ISSUER=https://auth.example.com
	AUTH_OIDC_CLIENT_ID=3c219e58-ed0e-4b18-ad48-f4f92793ae32`

func fusionAuthDocument() object {
	return described("https://auth.example.com", `
		authorization_endpoint=/oauth2/authorize
		token_endpoint=/oauth2/token
		jwks_uri=/.well-known/jwks.json
		userinfo_endpoint=/oauth2/userinfo
		end_session_endpoint=/oauth2/logout
		token_endpoint_auth_methods_supported=client_secret_basic,client_secret_post,none
		id_token_signing_alg_values_supported=ES256,ES384,ES512,HS256,HS384,HS512,RS256,RS384,RS512`)
}

func fusionAuthClaims() object {
	return object{
		"sub": "7e5d3f2a", "applicationId": "3c219e58-ed0e-4b18-ad48-f4f92793ae32", "authenticationType": "PASSWORD", "at_hash": hashed, "c_hash": "c",
		"email": "ann@example.com", "email_verified": true, "name": "Ann", "sid": "s", "tid": "t", "roles": []string{},
	}
}

// impossibleSignIns cannot work, and the log says why.
func impossibleSignIns() []oidcRow {
	return []oidcRow{
		{
			name:     "FusionAuth, as it is installed",
			settings: fusionAuth,
			document: fusionAuthDocument(), algorithm: "HS256", claims: fusionAuthClaims(),
			reason: `alg "HS256" signs with a shared secret`,
		},
		{
			name: "Microsoft Entra, every tenant",
			settings: `
				AUTH_OIDC_ISSUER=https://login.microsoftonline.com/common/v2.0
				AUTH_OIDC_CLIENT_ID=11112222-bbbb-3333-cccc-4444dddd5555`,
			document:  entraDocument("https://login.microsoftonline.com/{tenantid}/v2.0", "https://login.microsoftonline.com/common"),
			algorithm: "RS256", claims: entraClaims(),
			reason: `names the issuer "https://login.microsoftonline.com/{tenantid}/v2.0"`,
		},
		{
			name: "LinkedIn",
			settings: `
				AUTH_OIDC_ISSUER=https://www.linkedin.com/oauth
				AUTH_OIDC_CLIENT_ID=77exampleclient`,
			document: described("https://www.linkedin.com/oauth", `
				authorization_endpoint=/v2/authorization
				token_endpoint=/v2/accessToken
				jwks_uri=/openid/jwks
				userinfo_endpoint=https://api.linkedin.com/v2/userinfo
				token_endpoint_auth_methods_supported=client_secret_post
				id_token_signing_alg_values_supported=RS256`),
			algorithm: "RS256", claims: object{"nonce": nil, "sub": "782bbtaQ", "name": "Ann", "email": "ann@example.com", "email_verified": "true"},
			reason: "nonce_mismatch: the ID token was not issued for this sign-in",
		},
	}
}
