package tokenward

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestEachAnswerByteByByteSaysWhatItMust(t *testing.T) {
	for _, row := range theWorld(t).Vectors.Wire {
		// All at once, and in pieces that end anywhere.
		for _, piece := range []int{max(len(row.Base64), 1), 7} {
			if piece == 7 && len(row.Base64) > 1000 {
				continue
			}
			t.Run(row.Name, func(t *testing.T) {
				var requests atomic.Int32
				place := listening(t, func(connection net.Conn) {
					for readRequest(connection) {
						requests.Add(1)
						for at := 0; at < len(row.Base64); at += piece {
							// A client reads no more than it wants.
							_, _ = connection.Write(row.Base64[at:min(at+piece, len(row.Base64))])
						}
						if tcp, ok := connection.(*net.TCPConn); ok && row.Closes {
							_ = tcp.CloseWrite()
						}
					}
				})
				verdict, err := client(t, Config{URL: place}).Verify(background(t), Question{Token: "twd_x"})
				equal(t, "kind", kindOf(err), row.Error)
				equal(t, "valid", verdict.Valid, row.Error == "")
				equal(t, "requests: what a server has begun to answer is not asked again", requests.Load(), 1)
			})
		}
	}
}

func TestWhatNobodyAskedForEndsItsConnectionAndAnswersNothing(t *testing.T) {
	var connections atomic.Int32
	sent := make(chan struct{})
	no := `{"valid":false,"code":"revoked"}`
	place := listening(t, func(connection net.Conn) {
		first := connections.Add(1) == 1
		for readRequest(connection) {
			if !first {
				respond(connection, no)
				continue
			}
			respond(connection, yesBody)
			// Behind the answer, when it was read and the connection is idle.
			time.Sleep(50 * time.Millisecond)
			respond(connection, yesBody)
			close(sent)
		}
	})
	made := client(t, Config{URL: place})
	first, err := made.Verify(background(t), Question{Token: "x"})
	must(t, err)
	<-sent
	second, err := made.Verify(background(t), Question{Token: "y"})
	must(t, err)
	equal(t, "first", first.Code, "valid")
	equal(t, "second", second.Code, "revoked")
	equal(t, "connections", connections.Load(), 2)
}

func TestWhatIsLeftOfAnAnswerThatCameTooLateAnswersNothing(t *testing.T) {
	var connections atomic.Int32
	late := make(chan struct{})
	place := listening(t, func(connection net.Conn) {
		first := connections.Add(1) == 1
		for readRequest(connection) {
			if !first {
				respond(connection, yesBody)
				continue
			}
			_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"valid")
			<-late
			_, _ = io.WriteString(connection, strings.Repeat(" ", 43))
		}
	})
	made := client(t, Config{URL: place, Timeout: 300 * time.Millisecond})
	_, err := made.Verify(background(t), Question{Token: "x"})
	equal(t, "kind", kindOf(err), Unavailable)
	equal(t, "it is a deadline", errors.Is(err, context.DeadlineExceeded), true)
	close(late)
	verdict, err := made.Verify(background(t), Question{Token: "x"})
	must(t, err)
	equal(t, "valid", verdict.Valid, true)
}

func TestAServerThatStartsAgainBetweenTwoQuestionsCostsNoneOfThem(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, yesBody) })
	first := httptest.NewServer(handler)
	at := first.Listener.Addr().String()
	made := client(t, Config{URL: first.URL})
	eight := func() {
		var all sync.WaitGroup
		for range 8 {
			all.Add(1)
			go func() {
				defer all.Done()
				if verdict, err := made.Verify(context.Background(), Question{Token: "x"}); err != nil || !verdict.Valid {
					t.Error(verdict, err)
				}
			}()
		}
		all.Wait()
	}
	eight()
	first.Close()
	listener, err := net.Listen("tcp", at)
	must(t, err)
	second := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	second.Start()
	defer second.Close()
	eight()
}

func TestACallerThatGoesEndsItsQuestionAtOnce(t *testing.T) {
	asked := make(chan struct{}, 1)
	made := client(t, Config{URL: listening(t, func(connection net.Conn) {
		readRequest(connection)
		asked <- struct{}{}
	})})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-asked
		cancel()
	}()
	_, err := made.Verify(ctx, Question{Token: "x"})
	equal(t, "kind", kindOf(err), Unavailable)
	equal(t, "it is the caller's end", errors.Is(err, context.Canceled), true)
}

func TestAnAddressOfIPv6IsAsked(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6")
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		equal(t, "host", r.Host, listener.Addr().String())
		_, _ = io.WriteString(w, yesBody)
	})}}
	server.Start()
	defer server.Close()
	verdict, err := client(t, Config{URL: server.URL}).Verify(background(t), Question{Token: "x"})
	must(t, err)
	equal(t, "valid", verdict.Valid, true)
}

func TestWhereAProxyOrSomebodysOwnWayLeadsNetHTTPAsks(t *testing.T) {
	proxy := &url.URL{Scheme: "http", Host: "127.0.0.1:9"}
	for name, usual := range map[string]*http.Transport{
		"a proxy":    {Proxy: http.ProxyURL(proxy)},
		"no address": {Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("bad") }},
		"TLS":        {DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }},
	} {
		equal(t, name, newDirect("http://tokens.acme.example", "Token x", usual) == nil, true)
	}
	for _, base := range []string{"http://bücher.example", "http://[fe80::1%25eth0]:1"} {
		equal(t, base, newDirect(base, "Token x", &http.Transport{}) == nil, true)
	}
	equal(t, "neither", newDirect("http://tokens.acme.example", "Token x", &http.Transport{}) != nil, true)
	var asked atomic.Bool
	own := client(t, Config{URL: "http://tokens.acme.example", Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked.Store(r.URL.String() == "http://tokens.acme.example/verify" && r.Header.Get("Authorization") == "Token twd_service")
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(yesBody))}, nil
	})})
	_, err := own.Verify(background(t), Question{Token: "x"})
	must(t, err)
	equal(t, "by the transport that was given", asked.Load(), true)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// A process of its own, since a process reads the authorities of its machine once.
func TestWithTLSAServerIsAskedWhenItsCertificateIsGoodAndToldNothingBefore(t *testing.T) {
	if place := os.Getenv("TOKENWARD_TEST_TLS"); place != "" {
		made := client(t, Config{URL: place})
		for range 3 {
			_, err := made.Verify(background(t), Question{Token: "x"})
			must(t, err)
		}
		return
	}
	var heard, connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		heard.Add(1)
		_, _ = io.WriteString(w, yesBody)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	_, err := client(t, Config{URL: server.URL}).Verify(background(t), Question{Token: "x"})
	equal(t, "an authority that nobody knows", kindOf(err), Unavailable)
	equal(t, "heard", heard.Load(), 0)
	file := filepath.Join(t.TempDir(), "authority.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	ask := func(place string) (string, error) {
		again := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
		again.Env = append(os.Environ(), "SSL_CERT_FILE="+file, "TOKENWARD_TEST_TLS="+place)
		said, err := again.CombinedOutput()
		return string(said), err
	}
	if said, err := ask("https://localhost:" + port); err == nil || !strings.Contains(said, "not localhost") {
		t.Errorf("another name: %v %s", err, said)
	}
	equal(t, "heard", heard.Load(), 0)
	before := connections.Load()
	if said, err := ask(server.URL); err != nil {
		t.Errorf("%v %s", err, said)
	}
	equal(t, "heard", heard.Load(), 3)
	equal(t, "connections", connections.Load()-before, 1)
}

func respond(connection net.Conn, body string) {
	_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
}
