package tokenward

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Needs says what a request needs. Exactly one of Permission, API and AnyToken must be said.
type Needs struct {
	// Permission is one permission, whatever the request is.
	Permission string
	// Resource is what the permission is asked about.
	Resource *Resource
	// API is the name of an API of your organization, whose routes say what a method and path need.
	API string
	// AnyToken lets any token of your organization pass, whatever its role: a choice that somebody has to write.
	AnyToken bool
	// ClientAddress says where a request comes from; the peer where it is nil. Never believe a header that anybody can write.
	ClientAddress func(*http.Request) string
	// OnError takes errors of this service (a refused credential, no server); [slog.Default] does where it is nil.
	OnError func(*http.Request, *Error)
}

// Passed is the token of a request that may pass.
type Passed struct {
	Token   Holder
	Verdict Verdict
}

type passedKey struct{}

// FromContext answers the token of a request that [Require] let pass.
func FromContext(ctx context.Context) (Passed, bool) {
	passed, ok := ctx.Value(passedKey{}).(Passed)
	return passed, ok
}

// Require is middleware: it lets requests pass whose token may do what is needed. Everything unexpected is a 503.
func Require(client *Client, needs Needs) (func(http.Handler) http.Handler, error) {
	said := 0
	for _, it := range []bool{needs.Permission != "", needs.API != "", needs.AnyToken} {
		if it {
			said++
		}
	}
	if said != 1 {
		return nil, &Error{Kind: BadQuestion, Message: "Say exactly one of Permission, API and AnyToken."}
	}
	// A slip of the pen is told when the service starts, and not to its first caller.
	if err := needs.question("x", &Request{Method: "GET", Path: "/"}).check(); err != nil {
		return nil, err
	}
	if needs.ClientAddress == nil {
		needs.ClientAddress = peer
	}
	if needs.OnError == nil {
		needs.OnError = func(_ *http.Request, err *Error) { slog.Error("tokenward: " + err.Message) }
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			passed, refused := check(client, needs, r)
			if refused != nil {
				refused.write(w)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passedKey{}, passed)))
		})
	}, nil
}

func (n Needs) question(token string, request *Request) Question {
	question := Question{Token: token, Request: request, Resource: n.Resource}
	if n.Permission != "" {
		question.Permission = &n.Permission
	}
	if n.API != "" {
		question.API = &n.API
	}
	return question
}

func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	// A zone names an interface of this machine.
	host, _, _ = strings.Cut(host, "%")
	return host
}

func check(client *Client, needs Needs, r *http.Request) (Passed, *refusal) {
	token, code := credential(r.Header)
	if code != "" {
		return Passed{}, noCredential(code)
	}
	// As the client sent it; URL.Path is decoded, and may mean another route.
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if path == "" {
		path = r.URL.EscapedPath()
	}
	question := needs.question(token, &Request{Method: r.Method, Path: path})
	question.RemoteIP, question.UserAgent = needs.ClientAddress(r), r.UserAgent()
	verdict, err := client.Verify(r.Context(), question)
	if err != nil {
		ours := asError(err)
		needs.OnError(r, ours)
		return Passed{}, notChecked(ours)
	}
	if verdict.Valid && verdict.Token != nil {
		return Passed{*verdict.Token, verdict}, nil
	}
	return Passed{}, refusalOf(verdict)
}

const (
	missingCredentials   = "missing_credentials"
	ambiguousCredentials = "ambiguous_credentials"
)

// The one credential among the headers in which one may stand, or the code of the refusal.
func credential(headers http.Header) (token, code string) {
	sent := headers.Values("Authorization")
	authorization := len(sent) > 0
	sent = append(append([]string{}, sent...), headers.Values("X-API-Key")...)
	if len(sent) == 0 {
		return "", missingCredentials
	}
	// Some servers join headers of one name with a comma, which stands in no credential.
	if len(sent) > 1 || strings.Contains(sent[0], ",") {
		return "", ambiguousCredentials
	}
	value := strings.TrimSpace(sent[0])
	if !authorization {
		return value, ""
	}
	scheme, rest, found := strings.Cut(value, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case found && (strings.EqualFold(scheme, "token") || strings.EqualFold(scheme, "bearer")):
		return rest, ""
	case found && strings.EqualFold(scheme, "basic"):
		decoded, err := base64.StdEncoding.DecodeString(rest)
		// RFC 7617 §2: a colon in the password belongs to it.
		if _, password, colon := strings.Cut(string(decoded), ":"); err == nil && colon && utf8.Valid(decoded) {
			return password, ""
		}
	}
	return "", missingCredentials
}

// refusal is an answer to who is refused.
type refusal struct {
	status     int
	code       string
	detail     string
	reason     string
	missing    string
	decision   string
	challenge  string
	retryAfter int
}

func noCredential(code string) *refusal {
	detail := "Send an API token: `Authorization: Token <token>` (or `Bearer`, or Basic with the token as password), or `X-API-Key`."
	if code == ambiguousCredentials {
		detail = "The request has more than one credential. Send one, in one header."
	}
	return &refusal{status: 401, code: code, detail: detail, challenge: challengeOf(code)}
}

// RFC 6750 §3: no error word when there was no credential at all.
func challengeOf(code string) string {
	if code == missingCredentials {
		return `Bearer realm="tokenward"`
	}
	return `Bearer realm="tokenward", error="invalid_token"`
}

func refusalOf(verdict Verdict) *refusal {
	refused := &refusal{status: 403, code: verdict.Code, reason: verdict.Code, missing: verdict.MissingPermission, decision: verdict.DecisionID}
	known, ok := reasons[verdict.Reason]
	switch {
	case verdict.Reason == Throttled:
		refused.status, refused.retryAfter = 429, int(verdict.RetryAfter/time.Second)
		refused.detail = "Too many unknown tokens came from your address. Try again later."
	case !ok:
		refused.detail = "The token is refused for a reason that this service does not know."
	case known.status == 401:
		refused.status, refused.detail, refused.challenge = 401, known.sentence, challengeOf(verdict.Code)
	case known.status == 429:
		refused.status, refused.detail, refused.retryAfter = 429, known.sentence, int(verdict.RetryAfter/time.Second)
	case verdict.MissingPermission != "" && verdict.Reason == ScopeDenied:
		refused.detail = "This needs the permission `" + verdict.MissingPermission + "`. Your role has it, but this token is narrowed to less."
	case verdict.MissingPermission != "":
		refused.detail = "This needs the permission `" + verdict.MissingPermission + "`, which your role does not have."
	default:
		refused.detail = known.sentence
	}
	return refused
}

// What is wrong between a service and its server is no business of its callers.
func notChecked(err *Error) *refusal {
	wait := 1
	if err.Kind == Unavailable && err.RetryAfter > 0 {
		wait = int(err.RetryAfter / time.Second)
	}
	return &refusal{status: 503, code: "unavailable", detail: "Tokens cannot be checked right now. Try again.", retryAfter: wait}
}

func (r *refusal) body() map[string]any {
	body := map[string]any{"status": r.status, "error": http.StatusText(r.status), "detail": r.detail, "message": r.detail, "code": r.code}
	for name, text := range map[string]string{"reason": r.reason, "missing_permission": r.missing, "decision_id": r.decision} {
		if text != "" {
			body[name] = text
		}
	}
	return body
}

func (r *refusal) write(w http.ResponseWriter) {
	headers := w.Header()
	headers.Set("Content-Type", "application/json")
	headers.Set("Cache-Control", "no-store")
	if r.challenge != "" {
		headers.Set("WWW-Authenticate", r.challenge)
	}
	if r.retryAfter > 0 {
		headers.Set("Retry-After", strconv.Itoa(r.retryAfter))
	}
	w.WriteHeader(r.status)
	// A client that has gone hears nothing more.
	_ = json.NewEncoder(w).Encode(r.body())
}
