package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Ends of tokens are counted by the server's clock: that of the machine may be wrong by an hour.
func TestTheTimeIsThatOfTheServer(t *testing.T) {
	for _, wrong := range []time.Duration{time.Hour, -time.Hour} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(wrong).UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"results":[{"id":"1","name":"Acme"}]}`))
		}))
		client, err := New(Config{URL: server.URL, Token: "x", Agent: "test"})
		if err != nil {
			t.Fatal(err)
		}
		of, err := client.Organization(t.Context(), "Acme")
		if err != nil {
			t.Fatal(err)
		}
		if off := of.Now().Sub(time.Now().Add(wrong)).Abs(); off > 5*time.Second {
			t.Errorf("with a clock that is %s off it is %s off", wrong, off)
		}
		if !of.Unfinished(of.Now().Add(-time.Minute)) || of.Unfinished(of.Now().Add(-2*time.Hour)) {
			t.Errorf("with a clock that is %s off, a run before this one is none", wrong)
		}
		server.Close()
	}
}
