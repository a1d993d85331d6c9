package tokenward

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// world is what clients/testing/world.py made ready.
type world struct {
	URL               string            `json:"url"`
	Credential        string            `json:"credential"`
	RevokedCredential string            `json:"revoked_credential"`
	WeakCredential    string            `json:"weak_credential"`
	Tokens            map[string]string `json:"tokens"`
	Bounded           map[string]string `json:"bounded"`
	Vectors           struct {
		Reasons []struct {
			Code              Reason `json:"code"`
			RefusesCredential bool   `json:"refuses_credential"`
			Sentence          string `json:"sentence"`
		} `json:"reasons"`
		PresentedBytes int `json:"presented_bytes"`
		Batch          int `json:"batch"`
		URLs           []struct {
			URL     string `json:"url"`
			Base    string `json:"base"`
			Refused bool   `json:"refused"`
		} `json:"urls"`
		Questions []struct {
			Ask       Question        `json:"ask"`
			Body      json.RawMessage `json:"body"`
			Refused   bool            `json:"refused"`
			Malformed bool            `json:"malformed"`
		} `json:"questions"`
		Answers     []answerRow `json:"answers"`
		Wire        []wireRow   `json:"wire"`
		Credentials []struct {
			Headers   [][2]string `json:"headers"`
			Token     string      `json:"token"`
			Code      string      `json:"code"`
			Challenge string      `json:"www_authenticate"`
		} `json:"credentials"`
	} `json:"vectors"`
}

// wireRow is an answer byte by byte, and whether its connection ends behind it.
type wireRow struct {
	Name   string `json:"name"`
	Base64 []byte `json:"base64"`
	Closes bool   `json:"closes"`
	Error  Kind   `json:"error"`
}

type answerRow struct {
	Name    string            `json:"name"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	JSON    json.RawMessage   `json:"json"`
	Base64  string            `json:"base64"`
	Bytes   int               `json:"bytes"`
	Error   Kind              `json:"error"`
	Verdict *struct {
		Valid             bool    `json:"valid"`
		Code              string  `json:"code"`
		Reason            Reason  `json:"reason"`
		Token             *Holder `json:"token"`
		MissingPermission string  `json:"missing_permission"`
		DecisionID        string  `json:"decision_id"`
		RetryAfter        int     `json:"retry_after"`
	} `json:"verdict"`
	Respond struct {
		Status            int    `json:"status"`
		Code              string `json:"code"`
		Detail            string `json:"detail"`
		Challenge         string `json:"www_authenticate"`
		MissingPermission string `json:"missing_permission"`
		RetryAfter        int    `json:"retry_after"`
	} `json:"respond"`
}

func (row answerRow) content(t *testing.T) []byte {
	t.Helper()
	if row.JSON != nil {
		return row.JSON
	}
	if row.Bytes > 0 {
		return bytes.Repeat([]byte("x"), row.Bytes)
	}
	content, err := base64.StdEncoding.DecodeString(row.Base64)
	must(t, err)
	return content
}

const yesBody = `{"valid":true,"code":"valid","token":{"id":"i","name":"n","kind":"api_token","organization_id":"o","role_id":"r","role_name":"devops","expires_at":null}}`

func theWorld(t testing.TB) world {
	t.Helper()
	path := os.Getenv("TOKENWARD_WORLD")
	if path == "" {
		t.Fatal("run this by scripts/clients")
	}
	content, err := os.ReadFile(path)
	must(t, err)
	var it world
	must(t, json.Unmarshal(content, &it))
	return it
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, found, expected T) {
	t.Helper()
	if found != expected {
		t.Errorf("%s: %v, not %v", what, found, expected)
	}
}

func client(t *testing.T, config Config) *Client {
	t.Helper()
	if config.Credential == "" {
		config.Credential = "twd_service"
	}
	// A busy machine is not what is tested.
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	made, err := New(config)
	must(t, err)
	return made
}

func kindOf(err error) Kind {
	if err == nil {
		return ""
	}
	return asError(err).Kind
}

func serving(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// listening gives each connection to `use`, in a goroutine of its own.
func listening(t *testing.T, use func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { connection.Close() })
			go use(connection)
		}
	}()
	return "http://" + listener.Addr().String()
}

// readRequest reads one request off a bare connection; false at its end.
func readRequest(connection net.Conn) bool {
	var head []byte
	part := make([]byte, 65536)
	for !bytes.Contains(head, []byte("\r\n\r\n")) || !bytes.HasSuffix(head, []byte("}")) {
		n, err := connection.Read(part)
		if err != nil {
			return false
		}
		head = append(head, part[:n]...)
	}
	return true
}

func reset(connection net.Conn) {
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	connection.Close()
}

func ask(t *testing.T, request *http.Request) (*http.Response, string) {
	t.Helper()
	answer, err := http.DefaultTransport.RoundTrip(request)
	must(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer, strings.TrimSpace(string(body))
}

func background(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
