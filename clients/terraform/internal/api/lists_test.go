package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// Many of a kind are read by one list. Where that is refused each is read by itself, and the list is not asked for again.
func TestManyOfAKindAreReadByOneListAndByItselfWhereThatIsRefused(t *testing.T) {
	t.Parallel()
	const all = 20
	for _, refused := range []bool{false, true} {
		var lists, ones atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			id, one := strings.CutPrefix(request.URL.Path, "/organization/o/policyApiToken/")
			switch {
			case one:
				ones.Add(1)
				_, _ = fmt.Fprintf(w, `{"id":%q,"opa_policy":"by itself"}`, id)
			case refused:
				lists.Add(1)
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(`{"code":"permission_denied","detail":"No.","missing_permission":"policy:manage"}`))
			default:
				lists.Add(1)
				entries := make([]string, 0, all)
				// One of them is not among those that are listed.
				for at := range all - 1 {
					entries = append(entries, fmt.Sprintf(`{"id":"%d","opa_policy":"listed","updated_at":"then"}`, at))
				}
				_, _ = w.Write([]byte(`{"results":[` + strings.Join(entries, ",") + `]}`))
			}
		}))
		client, err := New(Config{URL: server.URL, Token: "x", Agent: "test"})
		if err != nil {
			t.Fatal(err)
		}
		of := &Of{Client: client, ID: "o"}
		for at := range all {
			it, err := of.PolicyToken(t.Context(), fmt.Sprint(at))
			if err != nil || it.ID != fmt.Sprint(at) {
				t.Errorf("%d: %+v, %v", at, it, err)
			}
			if it.Policy == "listed" && it.ETag != `"then"` {
				t.Errorf("%d has the version %s", at, it.ETag)
			}
		}
		wanted := int64(fewReads + 1)
		if refused {
			wanted = all
		}
		if lists.Load() != 1 || ones.Load() != wanted {
			t.Errorf("refused: %t: %d lists, and %d by themselves", refused, lists.Load(), ones.Load())
		}
		server.Close()
	}
}

// What is too long to be read is told as that, and not as something that is no server.
func TestAnAnswerThatIsTooLongIsToldAsThat(t *testing.T) {
	t.Parallel()
	part := []byte(strings.Repeat(" ", 1<<20))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range mostBytes/len(part) + 1 {
			_, _ = w.Write(part)
		}
	}))
	defer server.Close()
	client, err := New(Config{URL: server.URL, Token: "x", Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	of := &Of{Client: client, ID: "o"}
	if _, err := of.Tokens(t.Context()); err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("it says: %v", err)
	}
}
