package tokenward

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// How much time of its own does the client take, and how much of what the server can do do 64 at once reach? Compared with sockets
// that send a ready request and read its answer: no client of Go's is faster. `scripts/clients bench` runs it.

// bareSocket is a connection that sends what is ready.
func bareSocket(b *testing.B, it world) func() {
	b.Helper()
	at, err := url.Parse(it.URL)
	if err != nil {
		b.Fatal(err)
	}
	body := fmt.Sprintf(`{"token":%q,"permission":"invoices:write"}`, it.Tokens["living"])
	request := fmt.Appendf(nil, "POST /verify HTTP/1.1\r\nHost: %s\r\nAuthorization: Token %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		at.Host, it.Credential, len(body), body)
	connection, err := net.Dial("tcp", at.Host)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { connection.Close() })
	reader := bufio.NewReader(connection)
	return func() {
		if _, err := connection.Write(request); err != nil {
			b.Error(err)
			return
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			b.Error(err)
			return
		}
		text, err := io.ReadAll(answer.Body)
		if err != nil || !bytes.Contains(text, []byte(`"valid":true`)) {
			b.Errorf("%v %s", err, text)
		}
	}
}

func benchClient(b *testing.B, it world) func() {
	b.Helper()
	client, err := New(Config{URL: it.URL, Credential: it.Credential, Timeout: 30 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	question := Ask(it.Tokens["living"], "invoices:write")
	return func() {
		if verdict, err := client.Verify(b.Context(), question); err != nil || !verdict.Valid {
			b.Errorf("%+v %v", verdict, err)
		}
	}
}

// sixtyFour asks by so many goroutines, whatever the machine has.
func sixtyFour(b *testing.B, asks []func()) {
	var turn atomic.Int64
	var all sync.WaitGroup
	for _, ask := range asks {
		all.Add(1)
		go func() {
			defer all.Done()
			for turn.Add(1) <= int64(b.N) {
				ask()
			}
		}()
	}
	all.Wait()
}

func BenchmarkVerify(b *testing.B) {
	it := theWorld(b)
	b.Run("one/client", func(b *testing.B) {
		ask := benchClient(b, it)
		for b.Loop() {
			ask()
		}
	})
	b.Run("one/bare", func(b *testing.B) {
		ask := bareSocket(b, it)
		for b.Loop() {
			ask()
		}
	})
	b.Run("64/client", func(b *testing.B) {
		ask := benchClient(b, it)
		asks := make([]func(), 64)
		for at := range asks {
			asks[at] = ask
		}
		b.ResetTimer()
		sixtyFour(b, asks)
	})
	b.Run("64/bare", func(b *testing.B) {
		asks := make([]func(), 64)
		for at := range asks {
			asks[at] = bareSocket(b, it)
		}
		b.ResetTimer()
		sixtyFour(b, asks)
	})
}
