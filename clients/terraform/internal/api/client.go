// Package api speaks to a Tokenward server, by hand and no more of it than the provider needs.
//
// The token never leaves the header that carries it: no error, no log and no value has it.
package api

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// Requests at once, whatever the parallelism of the core is.
	atOnce = 10
	// What is read of an answer at most: some fifty thousand tokens.
	mostBytes = 64 << 20
	// How often a busy server is asked again, and for how long at most.
	attempts   = 6
	longestNap = 20 * time.Second
)

// Client speaks for one token to one server.
type Client struct {
	base     string
	token    string
	http     *http.Client
	turns    chan struct{}
	mutex    sync.Mutex
	position string
	self     *Self
	// writes is how often something was written: what was listed before the last one does not count any more.
	writes int
	// began is when the provider was configured, by the server's clock: what was made before is of an earlier run.
	began time.Time
	// ahead is how much the server's clock is ahead of this machine's, which may be wrong.
	ahead time.Duration
}

// Config says which server, and who asks.
type Config struct {
	URL, Token, CACertificate, Agent string
}

// What is wrong with a setting that is no address.
var (
	// ErrAuthority is of one that holds no certificate.
	ErrAuthority = errors.New("`ca_certificate` holds no PEM certificate: `file(\"authority.pem\")` reads one")
	// ErrNotOnlyCertificates is of one that holds something else, or a certificate that is damaged. It does not say what it was.
	ErrNotOnlyCertificates = errors.New("`ca_certificate` holds something beside certificates (a private key?), or one that cannot be read: leave that out, or write the file anew")
	// ErrProxy is of a variable of the environment. It does not repeat it: a proxy's password may stand there.
	ErrProxy = errors.New("HTTPS_PROXY (or HTTP_PROXY) is no address of a proxy: write it as http://proxy.example.com:3128")
	// ErrToken is of one that no header carries. It does not say what it was.
	ErrToken = errors.New("it holds a space, a line break, or another character that no token has: was a line break read from a file with it? `trimspace(...)` takes it away")
)

// New makes a client; it asks nobody yet.
func New(config Config) (*Client, error) {
	at, err := url.Parse(config.URL)
	switch {
	case err != nil || at.Hostname() == "":
		return nil, errors.New("it is no address of a server; write it as https://tokens.example.com")
	case at.Scheme != "http" && at.Scheme != "https":
		return nil, errors.New("it must begin with http:// or https://")
	case at.User != nil:
		return nil, errors.New("it must hold no user name and no password")
	case strings.ContainsAny(config.URL, "?#"):
		return nil, errors.New("it must hold no query and no fragment")
	case strings.ContainsFunc(config.Token, func(it rune) bool { return it <= ' ' || it > '~' }):
		return nil, ErrToken
	}
	usual, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		usual = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	transport := usual.Clone()
	transport.MaxIdleConnsPerHost = atOnce
	if !understood(at.Scheme) {
		return nil, ErrProxy
	}
	if config.CACertificate != "" {
		pool, err := authorities(config.CACertificate)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &Client{
		base:  strings.TrimRight(at.String(), "/"),
		token: config.Token,
		turns: make(chan struct{}, atOnce),
		http: &http.Client{
			Transport: agent{config.Agent, transport},
			Timeout:   time.Minute,
			// A redirect would turn a POST into a GET; it means that the address is wrong.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// understood says whether Go can read which proxy the environment names for a scheme. One that it cannot read it leaves out, and
// goes without.
func understood(scheme string) bool {
	for _, name := range []string{strings.ToUpper(scheme) + "_PROXY", scheme + "_proxy"} {
		if said := os.Getenv(name); said != "" {
			_, address := url.Parse(said)
			_, host := url.Parse("http://" + said)
			return address == nil || host == nil
		}
	}
	return true
}

// authorities reads certificates. What is no certificate among them is not passed by: nobody would know why it does not count.
func authorities(text string) (*x509.CertPool, error) {
	pool, found := x509.NewCertPool(), 0
	for rest := []byte(text); ; found++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return nil, ErrNotOnlyCertificates
		}
		pool.AddCert(certificate)
	}
	switch {
	case found == 0:
		return nil, ErrAuthority
	// Of what has a beginning and no end, or letters that are none, nothing is found.
	case strings.Count(text, "-----BEGIN ") != found:
		return nil, ErrNotOnlyCertificates
	}
	return pool, nil
}

type agent struct {
	name string
	next http.RoundTripper
}

func (a agent) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("User-Agent", a.name)
	return a.next.RoundTrip(request)
}

// Error is what a server says in the place of an answer.
type Error struct {
	Status            int    `json:"-"`
	Code              string `json:"code"`
	Detail            string `json:"detail"`
	MissingPermission string `json:"missing_permission"`
	// ID is the holder of a name that is taken.
	ID     string  `json:"id"`
	Faults []Fault `json:"faults"`
	wait   time.Duration
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
}

func (e *Error) Error() string {
	text := e.Detail
	if e.MissingPermission != "" && !strings.Contains(text, e.MissingPermission) {
		text += " Missing permission: " + e.MissingPermission + "."
	}
	return text
}

// stranger is what answered in the place of a server, which says nothing about any object.
type stranger struct {
	base   string
	status int
	wait   time.Duration
}

func (s *stranger) Error() string {
	return fmt.Sprintf("what answered at %s (status %d) is no Tokenward server. Is `url` right, or does a proxy answer in its place?", s.base, s.status)
}

// notTokenward is an answer of something else.
func notTokenward(base string, status int) error { return &stranger{base: base, status: status} }

// busy says whether who answered wants to be asked later, and when: a server, or what stands before one that starts again.
func busy(err error) (later bool, wait time.Duration) {
	var ours *Error
	var other *stranger
	status := 0
	if errors.As(err, &ours) {
		status, wait = ours.Status, ours.wait
	} else if errors.As(err, &other) {
		status, wait = other.status, other.wait
	}
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable, wait
}

// Absent is the error of an object that a list does not have.
func Absent(what string) error {
	return &Error{Status: http.StatusNotFound, Code: "not_found", Detail: "There is no such " + what + ", or this token may not see it."}
}

// NotFound says whether a server, and nothing in its place, has said that an object is not there or not visible.
func NotFound(err error) bool {
	var ours *Error
	return errors.As(err, &ours) && ours.Status == http.StatusNotFound && ours.Code == "not_found"
}

// Taken answers the id of who has the name, where that was the error.
func Taken(err error) (string, bool) {
	var ours *Error
	if errors.As(err, &ours) && ours.Code == "name_taken" && ours.ID != "" {
		return ours.ID, true
	}
	return "", false
}

// Coded says whether a server refused for this reason.
func Coded(err error, code string) bool {
	var ours *Error
	return errors.As(err, &ours) && ours.Code == code
}

// Faulty says whether a server refused since this field is wrong.
func Faulty(err error, field string) bool {
	var ours *Error
	return errors.As(err, &ours) && slices.ContainsFunc(ours.Faults, func(it Fault) bool { return it.Field == field })
}

// Refused says whether a server has said no for good: it would say the same again.
func Refused(err error) bool {
	var ours *Error
	return errors.As(err, &ours) && ours.Status < http.StatusInternalServerError && ours.Status != http.StatusTooManyRequests
}

// Changed says whether an object has another version than the one that was to be changed.
func Changed(err error) bool {
	var ours *Error
	return errors.As(err, &ours) && ours.Status == http.StatusPreconditionFailed
}

// text is a body that is sent as it is.
type text struct{ kind, content string }

// call is one request, sent until it is answered.
type call struct {
	method, path string
	// body is a text, or a value that is sent as JSON.
	body any
	// etag is the version that is to be changed.
	etag string
	// key makes a create that was sent twice one create.
	key string
	// reads is true of a question that is no GET, and changes nothing.
	reads bool
}

// Random answers so many random bytes as hexadecimal digits.
func Random(bytes int) string {
	random := make([]byte, bytes)
	// It never fails (crypto/rand).
	_, _ = rand.Read(random)
	return hex.EncodeToString(random)
}

func (c *Client) do(ctx context.Context, it call, into any) (etag string, err error) {
	var content text
	switch body := it.body.(type) {
	case nil:
	case text:
		content = body
	default:
		encoded, err := json.Marshal(it.body)
		if err != nil {
			return "", err
		}
		content = text{"application/json", string(encoded)}
	}
	if !it.reads && it.method != http.MethodGet {
		// Before and after: a list that was read meanwhile may have it, or not.
		c.wrote()
		defer c.wrote()
	}
	begun := time.Now()
	for attempt := 1; ; attempt++ {
		etag, err = c.once(ctx, it, content, into)
		later, nap := busy(err)
		if !later {
			return etag, err
		}
		if attempt == attempts {
			return "", fmt.Errorf("%w It was asked %d times in %s, and is still busy: try again later, with a smaller `-parallelism`", err, attempts, time.Since(begun).Round(time.Second))
		}
		if nap == 0 {
			nap = time.Duration(1<<attempt) * 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(min(nap, longestNap)):
		}
	}
}

func (c *Client) once(ctx context.Context, it call, content text, into any) (string, error) {
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	request, err := http.NewRequestWithContext(ctx, it.method, c.base+it.path, strings.NewReader(content.content))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Token "+c.token)
	if content.kind != "" {
		request.Header.Set("Content-Type", content.kind)
	}
	for name, value := range map[string]string{"If-Match": it.etag, "Idempotency-Key": it.key, "Tokenward-At-Least": c.known()} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return "", fmt.Errorf("%s cannot be reached: %w", c.base, innermost(err))
	}
	defer answer.Body.Close()
	c.tellTime(answer.Header.Get("Date"))
	said, err := io.ReadAll(io.LimitReader(answer.Body, mostBytes+1))
	if err != nil {
		return "", fmt.Errorf("%s stopped in the middle of an answer: %w", c.base, innermost(err))
	}
	if len(said) > mostBytes {
		return "", fmt.Errorf("%s answered more than %d MiB, which is more than is read", c.base, mostBytes>>20)
	}
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		// A page of something in between must not count as a deletion.
		if it.method == http.MethodDelete && answer.StatusCode != http.StatusNoContent {
			return "", notTokenward(c.base, answer.StatusCode)
		}
		if into != nil {
			if err := json.Unmarshal(said, into); err != nil {
				return "", notTokenward(c.base, answer.StatusCode)
			}
		}
		c.note(answer.Header.Get("Tokenward-Position"))
		return answer.Header.Get("ETag"), nil
	}
	var wait time.Duration
	if seconds, err := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 16); err == nil {
		wait = time.Duration(seconds) * time.Second
	}
	failed := &Error{Status: answer.StatusCode, wait: wait}
	if json.Unmarshal(said, failed) != nil || failed.Code == "" || failed.Detail == "" {
		return "", &stranger{c.base, answer.StatusCode, wait}
	}
	return "", failed
}

// tellTime takes over the server's clock, from the first answer that says it.
func (c *Client) tellTime(date string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if at, err := http.ParseTime(date); err == nil && c.began.IsZero() {
		c.began, c.ahead = at, time.Until(at)
	}
}

// Now is the time by the server's clock, which decides on the ends of tokens; to the second.
func (c *Client) Now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return time.Now().Add(c.ahead)
}

// innermost leaves out the address, which `net/http` repeats.
func innermost(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// What was written is what later reads must know of, whichever node answers them. Answers of writes at once come in any order: the
// last position counts.
func (c *Client) note(position string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if position != "" && !before(position, c.position) {
		c.position = position
	}
}

// before says whether a position stands before another one in the same log.
func before(one, other string) bool {
	log, number, _ := strings.Cut(one, "/")
	otherLog, otherNumber, _ := strings.Cut(other, "/")
	at, unread := strconv.ParseUint(number, 10, 64)
	otherAt, otherUnread := strconv.ParseUint(otherNumber, 10, 64)
	return log == otherLog && unread == nil && otherUnread == nil && at < otherAt
}

func (c *Client) known() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.position
}

func (c *Client) wrote() {
	c.mutex.Lock()
	c.writes++
	c.mutex.Unlock()
}

func (c *Client) written() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.writes
}

// Self is who asks.
type Self struct {
	ID              string                     `json:"id"`
	Name            string                     `json:"name"`
	Kind            string                     `json:"kind"`
	Permissions     []string                   `json:"permissions"`
	ReadsEverywhere []string                   `json:"reads_everywhere"`
	Organization    *struct{ ID, Name string } `json:"organization"`
}

// Self asks once who asks.
func (c *Client) Self(ctx context.Context) (*Self, error) {
	c.mutex.Lock()
	known := c.self
	c.mutex.Unlock()
	if known != nil {
		return known, nil
	}
	self := new(Self)
	if _, err := c.do(ctx, call{method: http.MethodGet, path: "/token/self"}, self); err != nil {
		return nil, err
	}
	if self.ID == "" {
		return nil, notTokenward(c.base, http.StatusOK)
	}
	c.mutex.Lock()
	c.self = self
	c.mutex.Unlock()
	return self, nil
}

// Gone says whether an object that was not found is surely not there: this token reads all of its kind. Asked anew each time,
// since a role may have changed meanwhile.
func (c *Client) Gone(ctx context.Context, err error, permission string) bool {
	if !NotFound(err) {
		return false
	}
	self := new(Self)
	if _, err := c.do(ctx, call{method: http.MethodGet, path: "/token/self"}, self); err != nil {
		return false
	}
	// What only those see who manage all of it is not among what is read.
	return slices.Contains(self.ReadsEverywhere, permission) || permission == "policy:manage" && slices.Contains(self.Permissions, permission)
}
