package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Of writes at once the answers come in any order: what was written last is what a read must know of.
func TestTheLastPositionCountsInWhateverOrderAnswersCome(t *testing.T) {
	t.Parallel()
	positions := []string{"a/9", "a/11", "a/10", "", "b/3", "b/2"}
	known := []string{"a/9", "a/11", "a/11", "a/11", "b/3", "b/3"}
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		asked = request.Header.Get("Tokenward-At-Least")
		if request.Method != http.MethodGet {
			w.Header().Set("Tokenward-Position", positions[0])
			positions = positions[1:]
		}
		_, _ = w.Write([]byte(`{"id":"1"}`))
	}))
	defer server.Close()
	client, err := New(Config{URL: server.URL, Token: "x", Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	of := &Of{Client: client, ID: "o"}
	for at, wanted := range known {
		if _, err := of.CreateProject(t.Context(), Fields{"name": "p"}); err != nil {
			t.Fatal(err)
		}
		if _, err := of.Project(t.Context(), "p"); err != nil || asked != wanted {
			t.Errorf("after the answer %d it asks for %q, not %q (%v)", at, asked, wanted, err)
		}
	}
}

// A token that no header carries is told as that, and never repeated.
func TestATokenThatNoHeaderCarriesIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"twd_secret\n", " twd_secret", "twd_sécret", "twd_\x00secret"} {
		if _, err := New(Config{URL: "http://127.0.0.1:9", Token: token, Agent: "test"}); err != ErrToken || strings.Contains(err.Error(), "secret") {
			t.Errorf("of %q is said: %v", token, err)
		}
	}
}
