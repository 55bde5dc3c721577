//go:build faults

package faults_test

import "maps"

// signs returns the signs of all faults in the table.
func signs() map[string]sign {
	all := map[string]sign{}
	for _, some := range []map[string]sign{postgresSigns(), redisSigns(), dwollaSigns(), accessTokenSigns(), applicationSigns(), otherSigns()} {
		maps.Copy(all, some)
	}
	return all
}

// storeSign is an outage of something without which a replica is not ready.
func storeSign(label, what, reason string) sign {
	return sign{
		metric: is(`dropgate_dependency_up{dependency="`+label+`"}`, 0),
		line:   line("warn", "not ready: dependency unavailable", "missing="+what, "reason="+reason),
		ends:   line("info", "dependency recovered", "found="+what),
	}
}

// lateSign is a store that answers late.
func lateSign(label, what string) sign {
	return sign{
		metric: atLeast(`dropgate_dependency_check_duration_seconds{dependency="`+label+`"}`, 0.1),
		line:   line("warn", "a dependency answers late", "dependency="+what),
	}
}

// lossSign is a store that loses some connections.
func lossSign(label, what string) sign {
	return sign{
		metric: grows(`dropgate_store_connections_lost_total{dependency="` + label + `"}`),
		line:   line("warn", "connections to a dependency break", "dependency="+what),
		ends:   line("info", "connections to a dependency no longer break", "dependency="+what),
	}
}

func postgresSigns() map[string]sign {
	outage := func(reason string) sign { return storeSign("database", "database", "postgres: "+reason) }
	return map[string]sign{
		"PostgreSQL stops and returns":                                  outage("connection refused"),
		"PostgreSQL stops and returns, within CUSTOMER_CACHE":           outage("connection refused"),
		"PostgreSQL is half-open":                                       outage("timed out"),
		"PostgreSQL answers late":                                       lateSign("database", "database"),
		"PostgreSQL's connections are reset in the middle of an answer": outage("connection closed"),
		"one in ten of PostgreSQL's answers is reset":                   lossSign("database", "database"),
		"PostgreSQL's address answers in another protocol":              outage("not usable"),
	}
}

func redisSigns() map[string]sign {
	outage := func(reason string) sign { return storeSign("session_store", "session store", "redis: "+reason) }
	return map[string]sign{
		"Redis stops and returns":                                  outage("connection refused"),
		"Redis is killed and started again":                        outage("connection closed"),
		"Redis is half-open":                                       outage("timed out"),
		"Redis answers late":                                       lateSign("session_store", "session store"),
		"Redis answers too late":                                   outage("timed out"),
		"Redis's connections are reset in the middle of an answer": outage("connection closed"),
		"one in ten of Redis's answers is reset":                   lossSign("session_store", "session store"),
		"Redis's address answers in another protocol":              outage("not usable"),
		"Redis becomes read-only":                                  outage("read-only"),
		"Redis is full":                                            outage("out of memory"),
	}
}

// circuitSign is a fault of Dwolla that opens the circuit.
func circuitSign(code, fault string) sign {
	return sign{
		metric: grows(`dropgate_dwolla_requests_total{code="` + code + `",operation="create_client_token"}`),
		line:   line("warn", "half of the calls to Dwolla fail: the circuit is open", "error~"+fault),
		ends:   line("info", "Dwolla answers again: the circuit is closed"),
		// With long timeouts, few calls have failed until the circuit opens.
		also: []signLine{line("warn", "every request to Dwolla fails", "error~"+fault)},
	}
}

func dwollaSigns() map[string]sign {
	return map[string]sign{
		"Dwolla answers late, within the timeout": {
			metric: slower("dropgate_dwolla_request_duration_seconds", `operation="create_client_token"`, "0.5"),
			line:   line("warn", "Dwolla answers late"),
			ends:   line("info", "Dwolla answers in time again"),
		},
		"Dwolla answers too late":                                circuitSign("timeout", "deadline exceeded"),
		"Dwolla is half-open":                                    circuitSign("timeout", "deadline exceeded"),
		"Dwolla's connections are reset in the middle of a body": circuitSign("error", "reading the answer"),
		"Dwolla's address answers in another protocol":           circuitSign("error", "not HTTP"),
		"Dwolla answers 200 with a page of HTML": {
			metric: grows(`dropgate_client_tokens_total{action="customer.read",outcome="UpstreamError"}`),
			line:   line("warn", "half of the calls to Dwolla fail: the circuit is open", "error~not the expected JSON"),
			ends:   line("info", "Dwolla answers again: the circuit is closed"),
		},
		"Dwolla answers 200 with half a body": circuitSign("error", "unexpected EOF"),
		"Dwolla answers 500":                  circuitSign("500", "status 500"),
		"Dwolla is down":                      circuitSign("error", "connection refused"),
		"Dwolla answers with 1 GiB":           circuitSign("error", "larger"),
		"one in ten of Dwolla's answers is reset": {
			metric: grows(`dropgate_dwolla_requests_total{code="error",operation="create_client_token"}`),
			line:   line("warn", "some requests to Dwolla fail", "error~reading the answer"),
			ends:   line("info", "requests to Dwolla no longer fail"),
		},
		"Dwolla throttles, with Retry-After: 2": {
			metric: grows(`dropgate_dwolla_requests_total{code="429",operation="create_client_token"}`),
			line:   line("warn", "Dwolla throttles this operation (429): the circuit is open"),
			ends:   line("info", "Dwolla no longer throttles this operation: the circuit is closed"),
		},
	}
}

func accessTokenSigns() map[string]sign {
	rejected := func(code string) sign {
		return sign{
			metric: grows(`dropgate_dwolla_requests_total{code="401",operation="create_client_token"}`),
			line: line("warn", "Dwolla often rejects access tokens before their end: each time a new one takes their place",
				"dwolla_code="+code),
		}
	}
	failing := func(code, part string) sign {
		return sign{
			metric: growsBy(`dropgate_dwolla_requests_total{code="`+code+`",operation="token"}`, 1),
			line:   line("error", "getting an access token from Dwolla failed", part),
			ends:   line("info", "Dwolla issues access tokens again"),
		}
	}
	return map[string]sign{
		"access tokens expire, twice a second":                          rejected("ExpiredAccessToken"),
		"access tokens are revoked, twice a second":                     rejected("InvalidAccessToken"),
		"the access token has expired, and /token fails":                failing("500", "status=500"),
		"the access token has expired, and /token hangs":                failing("timeout", "error~deadline exceeded"),
		"the access token has expired, and /token sends half an answer": failing("error", "error~EOF"),
		"/token fails, while the access token lives":                    failing("500", "status=500"),
	}
}

func applicationSigns() map[string]sign {
	outage := func(reason string) sign {
		return sign{
			metric: is(`dropgate_dependency_up{dependency="application_sessions"}`, 0),
			line:   line("warn", "dependency unavailable", "missing=the application's sessions", "reason="+reason),
			ends:   line("info", "dependency recovered", "found=the application's sessions"),
		}
	}
	page := outage("not usable")
	page.also = []signLine{line("error", "", "message~CUSTOMER_LOOKUP_URL must answer")} // for requests under way
	return map[string]sign{
		"the application stops and returns":                                  outage("connection refused"),
		"the application is half-open":                                       outage("timed out"),
		"the application's connections are reset in the middle of an answer": outage("connection closed"),
		"the application's address answers in another protocol":              outage("not usable"),
		"the application's address answers with another site's HTML":         page,
	}
}

func otherSigns() map[string]sign {
	sessions := sign{
		metric: growsBy(`dropgate_logins_total{outcome="failed",reason="unavailable"}`, 1), oneServer: true,
		line: line("error", "", "log=access", "route=/auth/callback", "code=Unavailable"),
	}
	keys := sign{unnoticed: "the keys are at hand; the next fetch, within five minutes, finds the fault"}
	return map[string]sign{
		"the audit sink is broken":                               storeSign("audit", "audit", "broken pipe"),
		"the audit sink is stuck":                                storeSign("audit", "audit", "the output is stuck: a write does not return"),
		"the identity provider is down, with bearer tokens":      keys,
		"the identity provider is half-open, with bearer tokens": keys,
		"the identity provider is slow, with bearer tokens":      keys,
		"the identity provider is down, with sessions":           sessions,
		"the identity provider is half-open, with sessions":      sessions,
		"the identity provider starts 5 s late": {
			metric: is(`dropgate_dependency_up{dependency="identity_provider_keys"}`, 0),
			line:   line("warn", "fetching the identity provider's keys failed"),
			ends:   line("info", "the identity provider answers again"),
		},
	}
}
