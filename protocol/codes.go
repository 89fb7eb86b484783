package protocol

// ErrorCode is the code of an error frame. The connection stays open. The empty
// code means no error.
type ErrorCode string

// Error codes, in the order in which they win when several apply, but for the
// last three, which can strike at any point.
const (
	MalformedMessage     ErrorCode = "malformed_message"
	UnknownType          ErrorCode = "unknown_type"
	InvalidChannel       ErrorCode = "invalid_channel"
	InvalidPeerID        ErrorCode = "invalid_peer_id"
	ChannelReserved      ErrorCode = "channel_reserved"
	MissingData          ErrorCode = "missing_data"
	ActionNotPermitted   ErrorCode = "action_not_permitted"
	ChannelNotAuthorized ErrorCode = "channel_not_authorized"
	ChannelLimitExceeded ErrorCode = "channel_limit_exceeded"
	OverMessageQuota     ErrorCode = "over_message_quota"
	PeerNotFound         ErrorCode = "peer_not_found"
	BackendError         ErrorCode = "backend_error"
	InternalError        ErrorCode = "internal_error"
)

// Message is the sentence an error frame carries for people. It is fixed per
// code, needs no JSON escaping and never echoes the client.
func (c ErrorCode) Message() string {
	switch c {
	case MalformedMessage:
		return "The message is not a JSON object with a valid envelope."
	case UnknownType:
		return "The message type is not known."
	case InvalidChannel:
		return "The channel name is missing or not valid here."
	case InvalidPeerID:
		return "The peer id is missing or not valid."
	case ChannelReserved:
		return "The channel name is reserved."
	case MissingData:
		return "The message has no data."
	case ActionNotPermitted:
		return "The credential does not permit this action."
	case ChannelNotAuthorized:
		return "The credential does not cover this channel."
	case ChannelLimitExceeded:
		return "The connection has too many subscriptions."
	case OverMessageQuota:
		return "The app has used up its messages for this period."
	case PeerNotFound:
		return "The peer is not connected."
	case BackendError:
		return "A part of the service is out of reach; try again."
	default:
		return "The server failed to handle the message."
	}
}

// CloseCode is a WebSocket close status code, RFC 6455 §7.4, that the server
// sends.
type CloseCode uint16

// Close codes of RFC 6455 §7.4.1.
const (
	CloseNormal        CloseCode = 1000
	CloseGoingAway     CloseCode = 1001 // after a going_away frame
	CloseProtocolError CloseCode = 1002 // framing
	CloseUnsupported   CloseCode = 1003 // binary message
	CloseInvalidUTF8   CloseCode = 1007
	ClosePolicy        CloseCode = 1008 // slow consumer, handshake abuse
	CloseTooBig        CloseCode = 1009
)

// Close codes of the application, from the private range of RFC 6455 §7.4.2.
const (
	CloseInactive        CloseCode = 4000
	CloseUnauthorized    CloseCode = 4001
	CloseTokenExpired    CloseCode = 4002
	CloseNoChannels      CloseCode = 4003
	CloseConnectionLimit CloseCode = 4010
	CloseMessageRate     CloseCode = 4011
	CloseSuspended       CloseCode = 4012
	CloseKicked          CloseCode = 4020
)

// Reason is the text of the close frame: fixed per code, at most 123 bytes of
// ASCII (RFC 6455 §5.5), empty for a code the server does not send.
func (c CloseCode) Reason() string {
	switch c {
	case CloseNormal:
		return "normal closure"
	case CloseGoingAway:
		return "server going away"
	case CloseProtocolError:
		return "protocol error"
	case CloseUnsupported:
		return "binary messages not supported"
	case CloseInvalidUTF8:
		return "invalid UTF-8"
	case ClosePolicy:
		return "policy violation"
	case CloseTooBig:
		return "message too big"
	case CloseInactive:
		return "client inactive"
	case CloseUnauthorized:
		return "unauthorized"
	case CloseTokenExpired:
		return "token expired"
	case CloseNoChannels:
		return "no authorized channels"
	case CloseConnectionLimit:
		return "connection limit reached"
	case CloseMessageRate:
		return "message rate exceeded"
	case CloseSuspended:
		return "app suspended"
	case CloseKicked:
		return "disconnected by admin"
	default:
		return ""
	}
}
