package tokenward

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestEachStateOfATokenHasItsReason(t *testing.T) {
	it := theWorld(t)
	real := client(t, Config{URL: it.URL, Credential: it.Credential})
	for state, token := range it.Tokens {
		question := Ask(token, "invoices:write")
		question.RemoteIP = "192.0.2.7"
		verdict, err := real.Verify(background(t), question)
		must(t, err)
		expected := Reason(state)
		switch state {
		case "living":
			expected = ""
		case "weak":
			expected = PermissionDenied
			equal(t, "missing", verdict.MissingPermission, "invoices:write")
			equal(t, "role", verdict.Token.RoleName, "viewer")
		}
		equal(t, state, verdict.Reason, expected)
		equal(t, state, verdict.Valid, state == "living")
	}
}

func TestABatchIsAnsweredInItsOrder(t *testing.T) {
	it := theWorld(t)
	real := client(t, Config{URL: it.URL, Credential: it.Credential})
	var asked []Question
	for _, token := range []string{it.Tokens["weak"], "line\nbreak", it.Tokens["living"], it.Tokens["revoked"]} {
		asked = append(asked, Ask(token, "invoices:write"))
	}
	verdicts, err := real.VerifyBatch(background(t), asked, "")
	must(t, err)
	var codes []string
	for _, verdict := range verdicts {
		codes = append(codes, verdict.Code)
	}
	equal(t, "codes", strings.Join(codes, " "), "permission_denied malformed valid revoked")
	none, err := real.VerifyBatch(background(t), nil, "")
	must(t, err)
	equal(t, "none", len(none), 0)
	_, err = real.VerifyBatch(background(t), make([]Question, 1001), "")
	equal(t, "too many", kindOf(err), BadQuestion)
	many := make([]Question, 1000)
	for at := range many {
		many[at] = Question{Token: it.Tokens["living"]}
	}
	verdicts, err = real.VerifyBatch(background(t), many, "")
	must(t, err)
	for _, verdict := range verdicts {
		equal(t, "one of many", verdict.Valid, true)
	}
	few := client(t, Config{URL: serving(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"results":[{"valid":false,"code":"unknown"}]}`)
	})})
	_, err = few.VerifyBatch(background(t), []Question{{Token: "a"}, {Token: "b"}}, "")
	equal(t, "fewer verdicts", kindOf(err), BadAnswer)
}

func TestARefusedCredentialIsTheServicesOwnError(t *testing.T) {
	it := theWorld(t)
	for _, own := range []string{it.RevokedCredential, it.WeakCredential} {
		var said *Error
		guarded := require(t, client(t, Config{URL: it.URL, Credential: own}),
			Needs{AnyToken: true, OnError: func(_ *http.Request, err *Error) { said = err }})
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Header.Set("Authorization", "Token "+it.Tokens["living"])
		recorder := httptest.NewRecorder()
		guarded.ServeHTTP(recorder, request)
		equal(t, "status", recorder.Code, 503)
		equal(t, "challenge", recorder.Header().Get("WWW-Authenticate"), "")
		if said == nil || said.Kind != BadCredential || strings.Contains(said.Message, own) {
			t.Errorf("%v", said)
		}
	}
	for _, own := range []string{"", "a\nb"} {
		if _, err := New(Config{URL: it.URL, Credential: own}); kindOf(err) != BadQuestion {
			t.Errorf("%q: %v", own, err)
		}
	}
}

func TestASlipOfThePenInWhatIsNeededStopsTheStart(t *testing.T) {
	made := client(t, Config{URL: "http://127.0.0.1:9"})
	for _, needs := range []Needs{{}, {Permission: "*"}, {Permission: "a:b", API: "c"}, {AnyToken: true, API: "c"}, {AnyToken: true, Resource: &Resource{ProjectID: "x"}}} {
		if _, err := Require(made, needs); kindOf(err) != BadQuestion {
			t.Errorf("%+v: %v", needs, err)
		}
	}
}

func TestASlowServerCostsNoMoreThanTheTimeLimit(t *testing.T) {
	silent := func(connection net.Conn) { readRequest(connection) }
	drips := func(connection net.Conn) {
		readRequest(connection)
		_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
		for {
			if _, err := io.WriteString(connection, " "); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	for _, slow := range []func(net.Conn){silent, drips} {
		begun := time.Now()
		_, err := client(t, Config{URL: listening(t, slow), Timeout: 300 * time.Millisecond}).Verify(background(t), Question{Token: "x"})
		equal(t, "kind", kindOf(err), Unavailable)
		if took := time.Since(begun); took < 250*time.Millisecond || took > 1500*time.Millisecond {
			t.Errorf("%v", took)
		}
	}
}

func TestAServerThatIsGoneIsAnErrorAtOnce(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	_, err := client(t, Config{URL: gone.URL}).Verify(background(t), Question{Token: "x"})
	equal(t, "kind", kindOf(err), Unavailable)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = client(t, Config{URL: gone.URL}).Verify(ctx, Question{Token: "x"})
	equal(t, "a caller that has gone", kindOf(err), Unavailable)
}

func TestABrokenIdleConnectionIsTriedOnceMoreAndNothingElseIs(t *testing.T) {
	var requests atomic.Int32
	once := client(t, Config{URL: listening(t, func(connection net.Conn) {
		readRequest(connection)
		requests.Add(1)
		_, _ = fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(yesBody), yesBody)
		if readRequest(connection) {
			requests.Add(1)
			reset(connection)
		}
	})})
	for range 2 {
		verdict, err := once.Verify(background(t), Question{Token: "x"})
		must(t, err)
		equal(t, "valid", verdict.Valid, true)
	}
	equal(t, "requests", requests.Load(), 3)
	requests.Store(0)
	_, err := client(t, Config{URL: listening(t, func(connection net.Conn) {
		readRequest(connection)
		requests.Add(1)
		reset(connection)
	})}).Verify(background(t), Question{Token: "x"})
	equal(t, "kind", kindOf(err), Unavailable)
	equal(t, "a new connection that breaks is no idle one", requests.Load(), 1)
}

func TestSixtyFourAtOnceShareConnections(t *testing.T) {
	var mutex sync.Mutex
	ports := map[string]bool{}
	made := client(t, Config{URL: serving(t, func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		ports[r.RemoteAddr] = true
		mutex.Unlock()
		_, _ = io.WriteString(w, yesBody)
	})})
	for range 10 {
		_, err := made.Verify(background(t), Question{Token: "x"})
		must(t, err)
	}
	equal(t, "connections of one after the other", len(ports), 1)
	var all sync.WaitGroup
	for range 64 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 20 {
				if _, err := made.Verify(context.Background(), Question{Token: "x"}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	// A connection that is being opened may lose to one that comes free.
	if len(ports) > 128 {
		t.Errorf("%d connections", len(ports))
	}
}

func TestAYesIsRememberedOnlyWhereSomebodyWroteThatRevokedTokensLiveSoLong(t *testing.T) {
	var asked atomic.Int32
	var answer atomic.Value
	answer.Store(yesBody)
	url := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		text, _ := answer.Load().(string)
		_, _ = io.WriteString(w, text)
	})
	valid := func(client *Client, permission string) bool {
		verdict, err := client.Verify(background(t), Ask("x", permission))
		must(t, err)
		return verdict.Valid
	}
	plain := client(t, Config{URL: url})
	equal(t, "plain", valid(plain, "a:b") && valid(plain, "a:b"), true)
	equal(t, "asked", asked.Load(), 2)
	remembering := client(t, Config{URL: url, RevokedTokensLiveFor: 500 * time.Millisecond})
	equal(t, "first", valid(remembering, "a:b"), true)
	answer.Store(`{"valid":false,"code":"revoked"}`)
	equal(t, "remembered", valid(remembering, "a:b"), true)
	equal(t, "asked", asked.Load(), 3)
	equal(t, "another question", valid(remembering, "a:c"), false)
	time.Sleep(600 * time.Millisecond)
	equal(t, "later", valid(remembering, "a:b"), false)
	_, err := New(Config{URL: url, Credential: "x", RevokedTokensLiveFor: 1001 * time.Millisecond})
	equal(t, "too long", kindOf(err), BadQuestion)
}

func TestATokenPassesOrIsToldWhyNot(t *testing.T) {
	it := theWorld(t)
	guarded := require(t, client(t, Config{URL: it.URL, Credential: it.Credential}), Needs{API: "shop"})
	server := httptest.NewServer(guarded)
	defer server.Close()
	asked := func(method string, headers ...string) string {
		request, err := http.NewRequest(method, server.URL+"/invoices?a=b", nil)
		must(t, err)
		for at := 0; at < len(headers); at += 2 {
			request.Header.Add(headers[at], headers[at+1])
		}
		answer, text := ask(t, request)
		var body struct {
			Code    string `json:"code"`
			Missing string `json:"missing_permission"`
		}
		if json.Unmarshal([]byte(text), &body) == nil {
			text = strings.TrimSpace(body.Code + " " + body.Missing)
		}
		return strings.TrimSpace(fmt.Sprintf("%d %s %s", answer.StatusCode, text, answer.Header.Get("WWW-Authenticate")))
	}
	bearer := func(method, state string) string { return asked(method, "Authorization", "Bearer "+it.Tokens[state]) }
	const invalid = ` Bearer realm="tokenward", error="invalid_token"`
	equal(t, "living", bearer("POST", "living"), "200 hello living")
	equal(t, "weak", bearer("POST", "weak"), "403 permission_denied invoices:write")
	equal(t, "weak", bearer("GET", "weak"), "200 hello weak")
	equal(t, "narrow", asked("POST", "Authorization", "Bearer "+it.Bounded["scope_denied"]), "403 scope_denied invoices:write")
	for _, state := range []string{"revoked", "expired", "malformed", "replaced", "disabled", "not_yet_valid"} {
		equal(t, state, bearer("POST", state), "401 "+state+invalid)
	}
	equal(t, "bound", bearer("POST", "network_denied"), "403 network_denied")
	equal(t, "none", asked("POST"), `401 missing_credentials Bearer realm="tokenward"`)
	equal(t, "key", asked("POST", "X-API-Key", it.Tokens["living"]), "200 hello living")
	equal(t, "twice", asked("POST", "Authorization", "Token "+it.Tokens["living"], "Authorization", "Token b"), "401 ambiguous_credentials"+invalid)
}
