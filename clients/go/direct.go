package tokenward

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// Idle connections that are kept for the next question, and for how long.
	kept    = 64
	keptFor = time.Minute
	// The longest request whose room a connection keeps for the next one.
	roomBytes = 16384
	// Most bytes of the head of an answer.
	headBytes = 65536
)

// direct asks over connections of its own: net/http hands each question to two goroutines and back, which takes longer than the
// question does. What it reads is read by net/http all the same, unless it looks as nearly each answer does.
type direct struct {
	address string
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	// nil where there is no TLS.
	tls *tls.Config
	// Between the path and the length.
	target, fields string

	mutex sync.Mutex
	// Used last is last.
	idle []*connection
}

// newDirect is nil where the usual way leads elsewhere: by a proxy, or by what somebody has put into http.DefaultTransport.
func newDirect(base, authorization string, usual *http.Transport) *direct {
	at, err := url.Parse(base)
	if err != nil || usual.DialTLSContext != nil || usual.DialTLS != nil || usual.Dial != nil {
		return nil
	}
	if usual.Proxy != nil {
		if proxy, err := usual.Proxy(&http.Request{URL: at}); err != nil || proxy != nil {
			return nil
		}
	}
	made := &direct{dial: usual.DialContext, target: at.EscapedPath()}
	if made.dial == nil {
		made.dial = (&net.Dialer{}).DialContext
	}
	host, port := at.Hostname(), at.Port()
	for at := range len(host) {
		// Such a name has another form on the wire, and an address of a link alone another one in the head. net/http knows both.
		if host[at] <= ' ' || host[at] >= 0x7f || host[at] == '%' {
			return nil
		}
	}
	if at.Scheme == "https" {
		made.tls = usual.TLSClientConfig.Clone()
		if made.tls == nil {
			made.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if made.tls.ServerName == "" {
			made.tls.ServerName = host
		}
		made.tls.NextProtos = []string{"http/1.1"}
	}
	if port == "" {
		port = map[bool]string{false: "80", true: "443"}[made.tls != nil]
	}
	made.address = net.JoinHostPort(host, port)
	made.fields = fmt.Sprintf(" HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: application/json\r\nAccept-Encoding: identity\r\nContent-Length: ",
		at.Host, authorization)
	return made
}

// post answers what the server says, whatever it is.
func (d *direct) post(ctx context.Context, path string, content []byte, most int64, now, until time.Time) (reply, error) {
	if idle := d.take(now, until); idle != nil {
		answer, err := d.ask(ctx, idle, path, content, most, now)
		// The other end has closed it meanwhile: once more, with a new one. What was answered in part was no idle one.
		if err == nil || idle.begun || ctx.Err() != nil || isTimeout(err) {
			return answer, err
		}
	}
	made, err := d.connect(ctx, until)
	if err != nil {
		return reply{}, err
	}
	return d.ask(ctx, made, path, content, most, now)
}

// write appends a request.
func (d *direct) write(to []byte, path string, content []byte) []byte {
	to = slices.Grow(to, len("POST ")+len(d.target)+len(path)+len(d.fields)+24+len(content))
	to = append(append(append(append(to, "POST "...), d.target...), path...), d.fields...)
	return append(append(strconv.AppendInt(to, int64(len(content)), 10), "\r\n\r\n"...), content...)
}

func (d *direct) connect(ctx context.Context, until time.Time) (*connection, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	raw, err := d.dial(ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	made := &connection{Conn: raw, isQuiet: quietness(raw)}
	if d.tls != nil {
		secure := tls.Client(raw, d.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		made.Conn = secure
	}
	made.reader = bufio.NewReader(made)
	return made, made.SetDeadline(until)
}

// take is the idle connection that was used last, where one still looks good.
func (d *direct) take(now, until time.Time) *connection {
	for {
		d.mutex.Lock()
		last := len(d.idle) - 1
		if last < 0 {
			d.mutex.Unlock()
			return nil
		}
		found := d.idle[last]
		d.idle[last], d.idle = nil, d.idle[:last]
		d.mutex.Unlock()
		if now.Before(found.until) && found.SetDeadline(until) == nil && found.isQuiet() {
			return found
		}
		found.Close()
	}
}

// giveBack keeps a connection whose question began at `now`.
func (d *direct) giveBack(used *connection, now time.Time) {
	used.until = now.Add(keptFor)
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if len(d.idle) > 0 && now.After(d.idle[0].until) {
		d.idle[0].Close()
		d.idle = append(d.idle[:0], d.idle[1:]...)
	}
	if len(d.idle) == kept {
		used.Close()
		return
	}
	d.idle = append(d.idle, used)
}

func (d *direct) ask(ctx context.Context, by *connection, path string, content []byte, most int64, now time.Time) (reply, error) {
	by.begun, by.failed = false, nil
	request := d.write(by.room[:0], path, content)
	stop := func() bool { return true }
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, func() { _ = by.SetDeadline(time.Unix(1, 0)) })
	}
	answer, again, err := by.exchange(request, most)
	// No token stays in memory with an idle connection.
	clear(request)
	if by.room = request; cap(request) > roomBytes {
		by.room = nil
	}
	// Who has gone may have ended the connection's time after its answer.
	if stop() && again && err == nil {
		d.giveBack(by, now)
	} else {
		by.Close()
	}
	return answer, err
}

// connection is one to the server.
type connection struct {
	net.Conn
	// Does nothing wait to be read, below TLS?
	isQuiet func() bool
	reader  *bufio.Reader
	// For a request.
	room []byte
	// Until when it may be used again.
	until time.Time
	// Has anything of the answer come?
	begun bool
	// How many bytes may still come, and why no more did.
	budget int64
	failed error
}

var errNoEnd = errors.New("its head has no end")

func (c *connection) Read(into []byte) (int, error) {
	if c.budget <= 0 {
		return 0, errNoEnd
	}
	n, err := c.Conn.Read(into)
	c.begun = c.begun || n > 0
	c.budget -= int64(n)
	c.failed = err
	return n, err
}

// exchange answers too whether the connection can take the next question.
func (c *connection) exchange(request []byte, most int64) (answer reply, again bool, err error) {
	if _, err := c.Write(request); err != nil {
		return reply{}, false, err
	}
	c.budget = headBytes
	if _, err := c.reader.Peek(1); err != nil {
		return reply{}, false, c.why(err)
	}
	if answer, ok := c.quick(most); ok {
		return answer, true, nil
	}
	for {
		response, err := http.ReadResponse(c.reader, nil)
		if err != nil {
			return reply{}, false, c.why(err)
		}
		if response.StatusCode == http.StatusSwitchingProtocols {
			return reply{}, false, noHTTP(errors.New("it speaks of another protocol"))
		}
		if response.StatusCode < 200 {
			// What comes before an answer.
			c.budget = headBytes
			continue
		}
		c.budget = math.MaxInt64
		for name := range response.Header {
			// net/http lets it pass as a field of another name.
			if strings.ContainsAny(name, " \t") {
				return reply{}, false, noHTTP(errors.New("a line of its head is none"))
			}
		}
		if response.ContentLength > most {
			return reply{}, false, tooLong(most)
		}
		body, err := readBody(response, most)
		if err != nil {
			return reply{}, false, c.why(err)
		}
		if int64(len(body)) > most {
			return reply{}, false, tooLong(most)
		}
		// More than was asked for: nobody knows what it answers.
		again = !response.Close && c.reader.Buffered() == 0
		return reply{response.StatusCode, response.Header.Get("Retry-After"), body}, again, nil
	}
}

// quick reads an answer that came whole and at once, and looks as nearly each one does. Of any other it takes nothing.
func (c *connection) quick(most int64) (reply, bool) {
	came, err := c.reader.Peek(c.reader.Buffered())
	end := bytes.Index(came, headEnd)
	if err != nil || end < 0 {
		return reply{}, false
	}
	answer, length, ok := quickHead(came[:end])
	body := came[end+len(headEnd):]
	// More than that is for nobody, and less is not all of it.
	if !ok || int64(length) > most || length != len(body) {
		return reply{}, false
	}
	answer.body = bytes.Clone(body)
	_, err = c.reader.Discard(len(came))
	return answer, err == nil
}

func readBody(response *http.Response, most int64) ([]byte, error) {
	if response.ContentLength < 0 {
		return io.ReadAll(io.LimitReader(response.Body, most+1))
	}
	body := make([]byte, response.ContentLength)
	_, err := io.ReadFull(response.Body, body)
	return body, err
}

// why no answer could be read: what ended the connection, or else what came is none.
func (c *connection) why(err error) error {
	switch {
	case c.failed == nil:
		return noHTTP(err)
	case !errors.Is(c.failed, io.EOF):
		return c.failed
	case c.begun:
		return errors.New("it closed the connection in the middle of its answer")
	}
	return errors.New("it closed the connection without an answer")
}

// What was read is not quoted: it may be what was asked.
func noHTTP(cause error) error {
	return &Error{Kind: BadAnswer, Message: "What answered is no Tokenward server: it does not speak HTTP.", cause: cause}
}

func tooLong(most int64) error {
	return &Error{Kind: BadAnswer, Message: fmt.Sprintf("What answered is no Tokenward server: its body is longer than %d bytes.", most)}
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}
