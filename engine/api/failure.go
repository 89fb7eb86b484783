package api

import "net/http"

// failure is an error that is the caller's, with its answer. All are fixed
// values: nothing of a request or of an inner error gets into an answer.
type failure struct {
	status  int
	code    string
	message string
}

// Error returns the message.
func (f *failure) Error() string { return "api: " + f.message }

const (
	codeInvalidRequest = "invalid_request"
	codeInternalError  = "internal_error"
)

func invalid(message string) *failure {
	return &failure{http.StatusBadRequest, codeInvalidRequest, message}
}

var (
	errMalformedBody   = invalid("The body must be one JSON object in valid UTF-8.")
	errBodyRead        = invalid("The body did not arrive as announced.")
	errQuery           = invalid("The query string is not valid.")
	errPrefix          = invalid("The query needs a prefix, which may be empty.")
	errLimit           = invalid("limit must be an integer from 1 to 1000.")
	errChannel         = invalid("The channel name is not valid here.")
	errPeerID          = invalid("peerId must be 1-128 characters of printable ASCII.")
	errFrom            = invalid("from must be 1-128 characters of printable ASCII.")
	errMissingData     = invalid("data is missing.")
	errMetadata        = invalid("metadata must be an object of at most 8192 bytes.")
	errPeerMetadata    = invalid("peerMetadata must be an object of at most 4096 bytes.")
	errExpiresIn       = invalid("expiresInSec must be an integer from 1 to 86400.")
	errTokenChannels   = invalid("channels must be a list of at most 100 channel names or patterns.")
	errPermissions     = invalid("permissions must be a list of at most 16 of publish, subscribe, presence, send.")
	errTokenTooLong    = invalid("The token would be too long.")
	errUpgrade         = invalid("The upgrade request is not valid.")
	errChannelReserved = &failure{http.StatusBadRequest, "channel_reserved", "The channel name is reserved."}

	errUnauthorized = &failure{http.StatusUnauthorized, "unauthorized", "A valid secret key is required."}

	errAction            = &failure{http.StatusForbidden, "action_not_permitted", "The key does not permit this action."}
	errChannelAuthorized = &failure{http.StatusForbidden, "channel_not_authorized", "The key does not cover this channel."}

	errNotFound    = &failure{http.StatusNotFound, "not_found", "There is nothing at this path."}
	errMethod      = &failure{http.StatusMethodNotAllowed, "method_not_allowed", "The method is not allowed here; see Allow."}
	errBodyTimeout = &failure{http.StatusRequestTimeout, codeInvalidRequest, "The body took too long to arrive."}
	errBodyTooBig  = &failure{http.StatusRequestEntityTooLarge, codeInvalidRequest, "The body is over 32768 bytes."}
	errDataTooBig  = &failure{http.StatusRequestEntityTooLarge, codeInvalidRequest, "data is over the largest message size."}
	errQuota       = &failure{http.StatusTooManyRequests, "over_message_quota", "The app has used up its messages for this period."}
	errInternal    = &failure{http.StatusServiceUnavailable, codeInternalError, "The service cannot do this now; try again."}
)
