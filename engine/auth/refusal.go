package auth

import (
	"net/http"

	"signalbox/protocol"
)

// Refusal is why a credential was not accepted, and how the peer is told. It is an error; take it out of one
// with errors.As. Immutable.
type Refusal struct {
	// Status is the HTTP status that answers the handshake. 0: complete the upgrade, then close with Close.
	Status int
	// Code is the "error" member of the HTTP answer's body; empty if Status is 0.
	Code string
	// Close is the close code. It is set even with a Status, for servers that always complete the upgrade.
	Close protocol.CloseCode
	// Message is fixed text, safe to show to the peer.
	Message string
	// Detail says why, in words, for `token check` and debug logs only: it tells apart what the peer must
	// not be able to tell apart. It holds no secret and no part of the credential.
	Detail string
}

// Error returns what the peer may know.
func (r *Refusal) Error() string { return "auth: " + r.Message }

// malformed refuses a token that cannot be parsed, before any key is looked at.
func malformed(detail string) *Refusal {
	return &Refusal{
		Status:  http.StatusUnauthorized,
		Code:    "invalid_token",
		Close:   protocol.CloseUnauthorized,
		Message: "missing or malformed token",
		Detail:  detail,
	}
}

// originNotAllowed refuses a publishable key used from elsewhere.
func originNotAllowed(detail string) *Refusal {
	return &Refusal{
		Status:  http.StatusUnauthorized,
		Code:    "origin_not_allowed",
		Close:   protocol.CloseUnauthorized,
		Message: "this key may not be used from this origin",
		Detail:  detail,
	}
}

// unauthorized refuses a credential that is well formed and wrong.
func unauthorized(detail string) *Refusal {
	return &Refusal{Close: protocol.CloseUnauthorized, Message: "invalid credential", Detail: detail}
}

func expired(detail string) *Refusal {
	return &Refusal{Close: protocol.CloseTokenExpired, Message: "token expired", Detail: detail}
}

func noChannels(detail string) *Refusal {
	return &Refusal{Close: protocol.CloseNoChannels, Message: "no channel of the token is allowed", Detail: detail}
}

// suspension returns a Refusal if app is suspended. The credential has been verified by then.
func suspension(app *App) *Refusal {
	if !app.Suspended {
		return nil
	}
	return &Refusal{Close: protocol.CloseSuspended, Message: "app suspended", Detail: "the app is suspended; the credential itself is good"}
}
