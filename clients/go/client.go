// Package tokenward asks a Tokenward server whose API token a request carries, and what it may do.
//
// [Client] asks, [Require] is middleware for net/http. Whatever is unexpected is an error and never a yes.
package tokenward

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Three times what a server says of one token with the longest names.
	answerBytes = 16384
	// Most yeses that are remembered.
	remembered = 10000
)

// Config says whom a [Client] asks.
type Config struct {
	// URL of the server, such as https://tokens.example.com.
	URL string
	// Credential is a token of the role `verifier`: this service's own.
	Credential string
	// Timeout is the longest that a question may take, all in all; 1 s where nothing is said.
	Timeout time.Duration
	// RevokedTokensLiveFor remembers a yes for so long, 1 s at most. A token that was revoked lives that long for this
	// process. Off where nothing is said.
	RevokedTokensLiveFor time.Duration
	// Transport is another way to the server, with a certificate of its own for instance, by net/http. The usual one takes a
	// proxy from HTTP_PROXY, HTTPS_PROXY and NO_PROXY, and without one asks over connections of its own, which is faster;
	// dialler and TLS are those of http.DefaultTransport. Either tries once more when an idle connection was broken.
	Transport http.RoundTripper
}

// Client asks one server. Make one for the whole process: its connections are shared.
type Client struct {
	base          string
	authorization string
	timeout       time.Duration
	// nil where http asks.
	direct *direct
	http   *http.Client
	yeses  *yeses
}

// New makes a client. It asks nobody yet.
func New(config Config) (*Client, error) {
	base, err := readBase(config.URL)
	if err != nil {
		return nil, err
	}
	bad := func(what string) (*Client, error) { return nil, &Error{Kind: BadQuestion, Message: what} }
	if !presentable(config.Credential) {
		return bad("Credential, this service's own token, is empty or holds what no token does.")
	}
	if config.Timeout == 0 {
		config.Timeout = time.Second
	}
	if config.Timeout < time.Millisecond || config.Timeout > time.Minute {
		return bad("Timeout must be 1 ms to 1 min.")
	}
	if config.RevokedTokensLiveFor < 0 || config.RevokedTokensLiveFor > time.Second {
		return bad("RevokedTokensLiveFor must be at most 1 s.")
	}
	made := &Client{base: base, authorization: "Token " + config.Credential, timeout: config.Timeout, yeses: newYeses(config.RevokedTokensLiveFor)}
	if config.Transport == nil {
		usual, ok := http.DefaultTransport.(*http.Transport)
		if !ok {
			usual = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
		}
		shared := usual.Clone()
		// The usual two would make a new connection for almost each of many questions at once.
		shared.MaxIdleConnsPerHost = 64
		config.Transport = shared
		made.direct = newDirect(base, made.authorization, shared)
	}
	made.http = &http.Client{
		Transport: config.Transport,
		// A redirect would carry the tokens elsewhere; it means that the address is wrong.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return made, nil
}

// Verify asks whose token it is, and whether it may do that. An [Error] says why there is no verdict.
func (c *Client) Verify(ctx context.Context, question Question) (Verdict, error) {
	content, err := encode(question)
	if err != nil {
		return Verdict{}, err
	}
	if !presentable(question.Token) {
		return malformed, nil
	}
	if verdict, known := c.yeses.get(content); known {
		return verdict, nil
	}
	var body verdictBody
	if err := c.ask(ctx, "/verify", content, answerBytes, &body); err != nil {
		var throttled errThrottled
		if errors.As(err, &throttled) {
			return throttled.verdict(), nil
		}
		return Verdict{}, err
	}
	verdict, err := body.read(c.base)
	if err == nil {
		c.yeses.note(content, verdict)
	}
	return verdict, err
}

// VerifyBatch is the same for up to 1,000 tokens at once, answered in their order. All answers know of the position
// atLeast, where it is not empty.
func (c *Client) VerifyBatch(ctx context.Context, questions []Question, atLeast string) ([]Verdict, error) {
	if len(questions) > BatchSize {
		return nil, &Error{Kind: BadQuestion, Message: fmt.Sprintf("A batch holds at most %d questions; this one has %d.", BatchSize, len(questions))}
	}
	var asked []json.RawMessage
	verdicts := make([]Verdict, len(questions))
	var places []int
	for at, question := range questions {
		content, err := encode(question)
		if err != nil {
			return nil, err
		}
		if presentable(question.Token) {
			asked, places = append(asked, content), append(places, at)
		} else {
			verdicts[at] = malformed
		}
	}
	if len(asked) == 0 {
		return verdicts, nil
	}
	content, err := json.Marshal(struct {
		Tokens  []json.RawMessage `json:"tokens"`
		AtLeast string            `json:"at_least,omitempty"`
	}{asked, atLeast})
	if err != nil {
		return nil, asError(err)
	}
	var body struct {
		Results []verdictBody `json:"results"`
	}
	if err := c.ask(ctx, "/verify/batch", content, answerBytes*int64(len(asked)), &body); err != nil {
		var throttled errThrottled
		if !errors.As(err, &throttled) {
			return nil, err
		}
		for _, at := range places {
			verdicts[at] = throttled.verdict()
		}
		return verdicts, nil
	}
	if len(body.Results) != len(asked) {
		return nil, notTokenward(200, "it did not answer each question of the batch")
	}
	for n, at := range places {
		if verdicts[at], err = body.Results[n].read(c.base); err != nil {
			return nil, err
		}
	}
	return verdicts, nil
}

func encode(question Question) ([]byte, error) {
	if err := question.check(); err != nil {
		return nil, err
	}
	// Only remembered, so that a long one is cut and fails no question.
	if len(question.UserAgent) > 1024 {
		question.UserAgent = question.UserAgent[:1024]
	}
	if content, ok := quickQuestion(&question); ok {
		return content, nil
	}
	content, err := json.Marshal(question)
	if err != nil {
		return nil, asError(err)
	}
	return content, nil
}

func (c *Client) ask(ctx context.Context, path string, content []byte, most int64, into any) error {
	var answer reply
	var err error
	if c.direct != nil {
		now := time.Now()
		until := now.Add(c.timeout)
		if earlier, ok := ctx.Deadline(); ok && earlier.Before(until) {
			until = earlier
		}
		if err = ctx.Err(); err == nil {
			answer, err = c.direct.post(ctx, path, content, most, now, until)
		}
	} else {
		answer, err = c.byHTTP(ctx, path, content, most)
	}
	if err != nil {
		return c.unreachable(ctx, err)
	}
	return answer.read(into)
}

func (c *Client) byHTTP(ctx context.Context, path string, content []byte, most int64) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(content))
	if err != nil {
		return reply{}, asError(err)
	}
	request.Header.Set("Authorization", c.authorization)
	request.Header.Set("Content-Type", "application/json")
	// Its presence lets net/http try a POST once more on a connection that was closed while idle; without a value it is
	// not sent.
	request.Header["Idempotency-Key"] = nil
	var answered atomic.Bool
	traced := httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{GotFirstResponseByte: func() { answered.Store(true) }})
	answer, err := c.http.Do(request.WithContext(traced))
	if err != nil {
		// What answered, or a proxy before it, is quoted in such an error; in none of an end that comes too soon or too late.
		var network *net.OpError
		cut := isTimeout(err) || ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network)
		if answered.Load() && !cut || strings.Contains(err.Error(), "malformed") {
			return reply{}, noHTTP(err)
		}
		return reply{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	if err != nil {
		return reply{}, err
	}
	if int64(len(body)) > most {
		return reply{}, tooLong(most)
	}
	return reply{answer.StatusCode, answer.Header.Get("Retry-After"), body}, nil
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	var ours *Error
	if errors.As(err, &ours) {
		return ours
	}
	why := err.Error()
	if gone := ctx.Err(); gone != nil && !errors.Is(gone, context.DeadlineExceeded) {
		// Whoever asked has gone: the connection's end is only how that was done.
		why, err = gone.Error(), gone
	} else if isTimeout(err) {
		why, err = fmt.Sprintf("it did not answer within %v", c.timeout), context.DeadlineExceeded
	}
	return &Error{Kind: Unavailable, Message: "The Tokenward server at " + c.base + " cannot be reached: " + why, cause: err}
}

// yeses are verdicts that are remembered for a moment. Their keys are digests: no text of a token stays in memory for it.
type yeses struct {
	keep  time.Duration
	mutex sync.Mutex
	kept  map[[sha256.Size]byte]*list.Element
	// The oldest is in front.
	order *list.List
}

type yes struct {
	key     [sha256.Size]byte
	until   time.Time
	verdict Verdict
}

func newYeses(keep time.Duration) *yeses {
	return &yeses{keep: keep, kept: map[[sha256.Size]byte]*list.Element{}, order: list.New()}
}

func (y *yeses) get(content []byte) (Verdict, bool) {
	if y.keep == 0 {
		return Verdict{}, false
	}
	key := sha256.Sum256(content)
	y.mutex.Lock()
	defer y.mutex.Unlock()
	found, known := y.kept[key]
	if !known {
		return Verdict{}, false
	}
	one, known := found.Value.(yes)
	return one.verdict, known && time.Now().Before(one.until)
}

func (y *yeses) note(content []byte, verdict Verdict) {
	if y.keep == 0 {
		return
	}
	key := sha256.Sum256(content)
	y.mutex.Lock()
	defer y.mutex.Unlock()
	if before, known := y.kept[key]; known {
		y.order.Remove(before)
		delete(y.kept, key)
	}
	if !verdict.Valid {
		return
	}
	if len(y.kept) >= remembered {
		if oldest, ok := y.order.Remove(y.order.Front()).(yes); ok {
			delete(y.kept, oldest.key)
		}
	}
	y.kept[key] = y.order.PushBack(yes{key, time.Now().Add(y.keep), verdict})
}
