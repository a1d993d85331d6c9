package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A server that has too much to do, or what stands before one that starts again, is waited for; a request that was sent again is the
// same one.
func TestABusyServerIsWaitedForAndNamed(t *testing.T) {
	t.Parallel()
	answers := []func(http.ResponseWriter){
		func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("<h1>503</h1>"))
		},
		func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"code":"throttled","detail":"Wait a second."}`))
		},
		func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"id":"1","name":"ci","token":"t"}`))
		},
	}
	keys, bodies := map[string]bool{}, map[string]bool{}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		keys[request.Header.Get("Idempotency-Key")], bodies[string(body)] = true, true
		answers[asked](w)
		asked++
	}))
	defer server.Close()
	client, err := New(Config{URL: server.URL, Token: "x", Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	of := &Of{Client: client, ID: "o"}
	token, err := of.CreateToken(t.Context(), Fields{"name": "ci"})
	if err != nil || token.Text != "t" || asked != 3 || len(keys) != 1 || keys[""] || len(bodies) != 1 {
		t.Errorf("%+v, %v, asked %d times with the keys %v", token, err, asked, keys)
	}
}

func TestAServerThatStaysBusyIsNamed(t *testing.T) {
	t.Parallel()
	for told, answer := range map[string]string{
		"is no Tokenward server": "<h1>503</h1>",
		"It starts.":             `{"code":"unavailable","detail":"It starts."}`,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(answer))
		}))
		client, err := New(Config{URL: server.URL, Token: "x", Agent: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = client.Organization(t.Context(), ""); err == nil || !strings.Contains(err.Error(), told) || !strings.Contains(err.Error(), "asked 6 times") {
			t.Errorf("it says: %v", err)
		}
		server.Close()
	}
}

// Whatever the parallelism of the core is.
func TestNoMoreThanTenRequestsAreSentAtOnce(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if at := now.Add(1); at > most.Load() {
			most.Store(at)
		}
		time.Sleep(20 * time.Millisecond)
		now.Add(-1)
		_, _ = w.Write([]byte(`{"id":"1"}`))
	}))
	defer server.Close()
	client, err := New(Config{URL: server.URL, Token: "x", Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	of := &Of{Client: client, ID: "o"}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := of.Project(t.Context(), "p"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most := most.Load(); most < 2 || most > atOnce {
		t.Errorf("%d were sent at once", most)
	}
}
