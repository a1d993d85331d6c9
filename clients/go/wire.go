package tokenward

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Reason says why a token is refused. The words are the server's; one that this client does not know is [Unrecognized],
// and denied, and [Verdict.Code] has it.
type Reason string

// The reasons. [Throttled] says that whoever presented the token has guessed too often.
const (
	Malformed        Reason = "malformed"
	Unknown          Reason = "unknown"
	Revoked          Reason = "revoked"
	Disabled         Reason = "disabled"
	NotYetValid      Reason = "not_yet_valid"
	Expired          Reason = "expired"
	Replaced         Reason = "replaced"
	Brownout         Reason = "brownout"
	NetworkDenied    Reason = "network_denied"
	PolicyDenied     Reason = "policy_denied"
	PathAmbiguous    Reason = "path_ambiguous"
	TokenInQuery     Reason = "token_in_query"
	APIUnknown       Reason = "api_unknown"
	RouteUnknown     Reason = "route_unknown"
	PermissionDenied Reason = "permission_denied"
	ScopeDenied      Reason = "scope_denied"
	RateLimited      Reason = "rate_limited"
	QuotaExceeded    Reason = "quota_exceeded"
	Throttled        Reason = "throttled"
	Unrecognized     Reason = "unrecognized"
)

// meaning of a reason: is the token itself refused (401), may it only not do this (403) or not now (429), and what to tell people.
type meaning struct {
	status   int
	sentence string
}

var reasons = map[Reason]meaning{
	Malformed:   {401, "This is not a token: its form or its checksum is wrong. Was a part of it lost in copying?"},
	Unknown:     {401, "No such token is known here."},
	Revoked:     {401, "This token was revoked. Ask for a new one."},
	Disabled:    {401, "This token is switched off."},
	NotYetValid: {401, "This token is not valid yet."},
	Expired:     {401, "This token has expired. Ask for a new one."},
	Replaced:    {401, "This token was rotated, and this is an earlier secret of it. Use the newest one."},
	Brownout: {401, "This token is about to be taken back, and is refused for some minutes to learn who uses it. " +
		"Ask for a new one."},
	NetworkDenied: {403, "This token is accepted from some networks alone, and this request is from another one. " +
		"Does your gateway say from which address a request comes?"},
	PolicyDenied: {403, "The policy of this token does not allow this request, or the question did not say " +
		"which request it is about."},
	PathAmbiguous:    {403, "The path of the request can be read in more than one way (`//`, `..`, `%2f` and the like)."},
	TokenInQuery:     {401, "A token stands in the query, where logs keep it. Send it in a header, and replace this one."},
	APIUnknown:       {403, "There is no API of that name. Import its routes first."},
	RouteUnknown:     {403, "The request is on no route of the API, and what no route describes is denied."},
	PermissionDenied: {403, "The role of this token does not allow this."},
	RateLimited:      {429, "This token is used faster than it may be. Try again later."},
	QuotaExceeded:    {429, "The quota of this token is used up. Try again when it is filled again."},
	ScopeDenied:      {403, "This token is narrowed to a part of what its role may do, and this is not in it."},
}

const (
	// PresentedBytes is the most that a server reads of a presented text.
	PresentedBytes = 65536
	// BatchSize is the most questions in one batch.
	BatchSize = 1000
)

// Resource names what a permission is asked about: one of these ids.
type Resource struct {
	ProjectID     string `json:"project_id,omitempty"`
	EnvironmentID string `json:"environment_id,omitempty"`
	ClusterID     string `json:"cluster_id,omitempty"`
}

// Request is the request that a token came with, its path as the client sent it. Its body is for the policy of a policy token:
// a pointer to an empty text where it has none, nil where it is not known, and then a policy that looks at it denies.
type Request struct {
	Method string  `json:"method"`
	Path   string  `json:"path"`
	Body   *string `json:"body,omitempty"`
}

// Question is a question about a token. Without a permission and an API it is only: whose is it? What is empty is not
// asked, but for Permission and API, which are pointers so that an empty text is an error and never a smaller question.
type Question struct {
	Token      string    `json:"token"`
	Permission *string   `json:"permission,omitempty"`
	Resource   *Resource `json:"resource,omitempty"`
	API        *string   `json:"api,omitempty"`
	Request    *Request  `json:"request,omitempty"`
	RemoteIP   string    `json:"remote_ip,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
	AtLeast    string    `json:"at_least,omitempty"`
	// Include is what is to be told of the token besides: labels, metadata.
	Include []string `json:"include,omitempty"`
}

// Ask is the question whether a token may do what a permission says.
func Ask(token, permission string) Question {
	return Question{Token: token, Permission: &permission}
}

// isConcrete says whether a text is one permission: two words with a colon between them.
func isConcrete(text string) bool {
	colon := strings.IndexByte(text, ':')
	return colon > 0 && colon < len(text)-1 && strings.LastIndexByte(text, ':') == colon && !strings.ContainsAny(text, "* \t\n\f\r")
}

func (q Question) check() error {
	bad := func(what string) error {
		return &Error{Kind: BadQuestion, Message: "The question about a token cannot be asked: " + what + "."}
	}
	switch {
	case q.Permission != nil && !isConcrete(*q.Permission):
		return bad("the permission must be one permission, such as invoices:read")
	case q.Resource != nil && q.Permission == nil:
		return bad("a resource needs a permission beside it")
	case q.API != nil && *q.API == "":
		return bad("the name of the API is empty")
	case q.API != nil && q.Request == nil:
		return bad("with an API, say which request it is about")
	}
	return nil
}

// Can a header have carried this? What none can have carried is malformed, and nobody is asked.
func presentable(token string) bool {
	if token == "" || len(token) > PresentedBytes {
		return false
	}
	for i := range len(token) {
		if token[i] < 0x21 || token[i] > 0x7e {
			return false
		}
	}
	return true
}

// Holder says whose token it is.
type Holder struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	Kind           string `json:"kind"`
	OrganizationID string `json:"organization_id"`
	RoleID         string `json:"role_id"`
	RoleName       string `json:"role_name"`
	// ExpiresAt is nil for a token without an end, and for a revoked one.
	ExpiresAt *time.Time `json:"expires_at"`
	// Labels are there where the question includes them and the token has some.
	Labels map[string]string `json:"labels,omitempty"`
	// Metadata is the same: what else is kept with it.
	Metadata map[string]any `json:"metadata,omitempty"`
}

// Verdict is what was decided. An error is never one.
type Verdict struct {
	Valid bool
	// Code is `valid`, or why not, in the server's word.
	Code string
	// Reason is empty for a yes.
	Reason Reason
	// Token is nil when it is not known whose it is.
	Token *Holder
	// MissingPermission is what its role lacks; for ScopeDenied what its role has, and it is narrowed away from.
	MissingPermission string
	// DecisionID is the id under which the server explains the answer for a while, at Explain.
	DecisionID string
	// Explain is the page that does; it takes a token with `token:verify`.
	Explain string
	// RetryAfter is how long to wait, when the reason is Throttled, RateLimited or QuotaExceeded and the server said it.
	RetryAfter time.Duration
}

var malformed = Verdict{Code: string(Malformed), Reason: Malformed}

// Kind says why there is no verdict. Each is an error of the service that asks: log it, and answer its callers 503.
type Kind string

// The kinds.
const (
	// Unavailable: no server, too slow, or it says 503.
	Unavailable Kind = "unavailable"
	// BadCredential: this service's own token is refused, or may not ask.
	BadCredential Kind = "credential"
	// BadQuestion: it cannot be understood.
	BadQuestion Kind = "question"
	// BadAnswer: what answered is no Tokenward.
	BadAnswer Kind = "answer"
)

// Error says why there is no verdict. Its text names no secret.
type Error struct {
	Kind    Kind
	Message string
	// Code is the server's word for it, where it had one.
	Code string
	// RetryAfter is how long to wait, where the server said it.
	RetryAfter time.Duration
	cause      error
}

func (e *Error) Error() string { return e.Message }

// Unwrap answers what is below, such as an error of the network.
func (e *Error) Unwrap() error { return e.cause }

// The server's address without a slash at its end.
func readBase(text string) (string, error) {
	bad := func(why string) (string, error) {
		return "", &Error{Kind: BadQuestion, Message: "The address of the Tokenward server " + why + "."}
	}
	at, err := url.Parse(text)
	switch {
	case err != nil:
		return bad("is none: write it as https://tokens.example.com")
	case at.Scheme != "http" && at.Scheme != "https":
		return bad("must begin with http:// or https://")
	case at.Hostname() == "":
		return bad("is none: write it as https://tokens.example.com")
	case at.User != nil:
		return bad("must hold no user name and no password")
	case strings.ContainsAny(text, "?#"):
		return bad("must hold no query and no fragment")
	}
	return strings.TrimRight(at.String(), "/"), nil
}

func notTokenward(status int, what string) error {
	return &Error{Kind: BadAnswer, Message: fmt.Sprintf("What answered (status %d) is no Tokenward server: %s. "+
		"Is the address right, or does a proxy answer in its place?", status, what)}
}

type verdictBody struct {
	Valid             *bool   `json:"valid"`
	Code              *string `json:"code"`
	Token             *Holder `json:"token"`
	MissingPermission string  `json:"missing_permission"`
	DecisionID        string  `json:"decision_id"`
	RetryAfter        uint32  `json:"retry_after"`
}

func (body verdictBody) read(base string) (Verdict, error) {
	if body.Valid == nil || body.Code == nil || *body.Valid != (*body.Code == "valid") {
		return Verdict{}, notTokenward(200, "its verdict contradicts itself")
	}
	verdict := Verdict{Valid: *body.Valid, Code: *body.Code, MissingPermission: body.MissingPermission, DecisionID: body.DecisionID,
		RetryAfter: time.Duration(body.RetryAfter) * time.Second}
	if body.Token != nil {
		holder := body.Token
		if holder.ID == "" || holder.OrganizationID == "" || holder.RoleID == "" {
			return Verdict{}, notTokenward(200, "its verdict does not say whose token it is")
		}
		verdict.Token = holder
	}
	if verdict.Valid {
		if verdict.Token == nil {
			return Verdict{}, notTokenward(200, "its verdict does not say whose token it is")
		}
	} else if verdict.Reason = Reason(verdict.Code); verdict.Reason != Throttled {
		if _, known := reasons[verdict.Reason]; !known {
			verdict.Reason = Unrecognized
		}
	}
	if verdict.DecisionID != "" {
		verdict.Explain = base + "/decision/" + url.PathEscape(verdict.DecisionID)
	}
	return verdict, nil
}

type errorBody struct {
	Code              string `json:"code"`
	Detail            string `json:"detail"`
	MissingPermission string `json:"missing_permission"`
}

// reply is an answer of HTTP.
type reply struct {
	status     int
	retryAfter string
	body       []byte
}

// errThrottled stands for the verdict that too much was guessed.
type errThrottled struct{ wait time.Duration }

func (errThrottled) Error() string { return "throttled" }

func (e errThrottled) verdict() Verdict {
	return Verdict{Code: string(Throttled), Reason: Throttled, RetryAfter: e.wait}
}

// read decodes the JSON of an answer; one that is an error of this service is an error.
func (r reply) read(into any) error {
	if r.status == 200 {
		if !utf8.Valid(r.body) {
			return notTokenward(r.status, "its body is no text")
		}
		if verdict, ok := into.(*verdictBody); ok && quickVerdict(r.body, verdict) {
			return nil
		}
		if err := json.Unmarshal(r.body, into); err != nil {
			return notTokenward(r.status, "its body is none of its answers")
		}
		return nil
	}
	var body errorBody
	// A page of somebody else leaves it empty.
	_ = json.Unmarshal(r.body, &body)
	told := body.Detail
	if told == "" {
		told = "It said no more."
	}
	var wait time.Duration
	if seconds, err := strconv.ParseUint(r.retryAfter, 10, 20); err == nil {
		wait = time.Duration(seconds) * time.Second
	}
	fails := func(kind Kind, message string) error {
		return &Error{Kind: kind, Message: message, Code: body.Code, RetryAfter: wait}
	}
	switch {
	case r.status == 429 && body.Code == string(Throttled):
		return errThrottled{wait}
	case r.status == 401:
		return fails(BadCredential, "The Tokenward server refuses this service's own credential: "+told)
	case r.status == 403:
		if body.MissingPermission != "" {
			told += " It lacks `" + body.MissingPermission + "`."
		}
		return fails(BadCredential, "This service's own credential may not ask the Tokenward server: "+told)
	case body.Code != "" && (r.status == 400 || r.status == 409 || r.status == 413 || r.status == 422):
		return fails(BadQuestion, "The Tokenward server does not understand the question: "+told)
	// 429: a limit of this service's own credential.
	case r.status >= 500, r.status == 429 && body.Code != "":
		return fails(Unavailable, fmt.Sprintf("The Tokenward server cannot answer now (status %d): %s", r.status, told))
	case body.Code != "":
		return notTokenward(r.status, "it says "+body.Code)
	}
	return notTokenward(r.status, "its body is no error of ours")
}

// asError makes any error one of ours.
func asError(err error) *Error {
	var ours *Error
	if errors.As(err, &ours) {
		return ours
	}
	return &Error{Kind: BadAnswer, Message: "The token could not be checked: " + err.Error(), cause: err}
}
