package tokenward

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// odd is a text in which each byte was left out, doubled, or has another one in its place.
func odd(text string) []string {
	found := []string{text, text + " ", text + text}
	for at := range len(text) {
		found = append(found, text[:at]+text[at+1:], text[:at+1]+text[at:])
		for _, other := range "\x00\t\n\r \",.:{}[]\\-+019eEzZ\x7fü" {
			found = append(found, text[:at]+string(other)+text[at+1:])
		}
	}
	return found
}

func TestWhatIsReadQuicklyOfABodyIsWhatEncodingJSONReads(t *testing.T) {
	const holder = `{"id":"i","name":"ü 1","kind":"api_token","organization_id":"o","role_id":"r","role_name":"devops","expires_at":"2027-02-23T02:00:24.054712Z"}`
	plain := []string{
		yesBody,
		`{"valid":false,"code":"revoked","decision_id":"92f458e11bf83bbe"}`,
		`{"valid":true,"code":"valid","token":` + holder + `,"decision_id":"92f458e11bf83bbe"}`,
		`{"code":"permission_denied","valid":false,"token":` + holder + `,"missing_permission":"a:b"}`,
		`{"valid":false,"code":"rate_limited","token":null,"retry_after":7}`,
	}
	left := []string{
		``, `null`, `{}`, `{"valid":true,"valid":false,"code":"valid"}`, `{"valid":true,"VALID":false,"code":"valid"}`, `{"valid":true,"code":"a\u0062"}`,
		`{"valid":true, "code":"valid"}`, `{"token":{"id":"a","id":"b"}}`, `{"token":{}}`, `{"token":{"labels":{"a":"b"}}}`, `{"retry_after":1.5}`,
		`{"retry_after":1e3}`, `{"retry_after":01}`, `{"retry_after":4294967296}`, `{"retry_after":-1}`, `{"valid":true}{"valid":true}`, `{"code":null}`,
		`{"token":{"expires_at":"2027-02-23 02:00:24Z"}}`, `{"token":{"expires_at":"2027-02-23T2:00:24Z"}}`, `{"mood":"good","valid":true}`,
	}
	for _, body := range plain {
		var found verdictBody
		equal(t, body, quickVerdict([]byte(body), &found), true)
	}
	for _, body := range left {
		var found verdictBody
		equal(t, body, quickVerdict([]byte(body), &found), false)
		equal(t, body, found, verdictBody{})
	}
	for _, body := range append(plain, left...) {
		for _, body := range odd(body) {
			var found, expected verdictBody
			if !utf8.ValidString(body) || !quickVerdict([]byte(body), &found) {
				continue
			}
			must(t, json.Unmarshal([]byte(body), &expected))
			if !reflect.DeepEqual(found, expected) {
				t.Errorf("%s: %+v, not %+v", body, found, expected)
			}
		}
	}
}

func TestWhatIsReadQuicklyOfAHeadIsWhatNetHTTPReads(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	plain := []string{
		ok + "content-type: application/json\r\ncache-control: no-store\r\ncontent-length: 12\r\ndate: Tue, 01 Dec 2026 00:00:00 GMT",
		"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7 \r\nContent-Length:0",
		"HTTP/1.1 429\r\nCONTENT-LENGTH:\t12\t\r\nX-Odd:",
	}
	left := []string{
		"", "HTTP/1.1 200 OK", ok + "X: y", "HTTP/1.0 200 OK\r\nContent-Length: 2", "HTTP/1.1 204 No Content\r\nContent-Length: 2",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 2", "HTTP/1.1 103 Early Hints\r\nContent-Length: 2", ok + "Content-Length: 2\r\nContent-Length: 2",
		ok + "Content-Length: 2\r\nContent-Length: 3", ok + "Content-Length: 2\r\nConnection: close", ok + "Content-Length: 2\r\nTransfer-Encoding: chunked",
		ok + "Content-Length: +2", ok + "Content-Length: 2, 2", ok + "Content-Length: ", ok + "Content-Length : 2", ok + " Content-Length: 2",
		ok + "X: y\r\n folded\r\nContent-Length: 2", ok + "X: y\nContent-Length: 2", ok + "Content-Length: 2\r\nRetry-After: 1\r\nRetry-After: 2",
		ok + "Content-Length: 2\r\nTrailer: X", ok + "Content-Length: 99999999999999999999",
	}
	for _, head := range plain {
		_, _, quick := quickHead([]byte(head))
		equal(t, head, quick, true)
	}
	for _, head := range left {
		_, _, quick := quickHead([]byte(head))
		equal(t, head, quick, false)
	}
	for _, head := range append(plain, left...) {
		for _, head := range odd(head) {
			found, length, quick := quickHead([]byte(head))
			if !quick {
				continue
			}
			response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head+"\r\n\r\n")), nil)
			must(t, err)
			equal(t, head+": status", found.status, response.StatusCode)
			equal(t, head+": length", int64(length), response.ContentLength)
			equal(t, head+": wait", found.retryAfter, response.Header.Get("Retry-After"))
			equal(t, head+": closes", response.Close, false)
			equal(t, head+": codings", len(response.TransferEncoding), 0)
		}
	}
}

func TestWhatIsWrittenQuicklyIsWhatEncodingJSONWrites(t *testing.T) {
	place := func(text string) []Question {
		return []Question{
			Ask(text, "a:b"), Ask("x", text), {Token: "x", API: &text, Request: &Request{Method: "GET", Path: "/"}},
			{Token: "x", Request: &Request{Method: text, Path: text}}, {Token: "x", Request: &Request{Body: &text}},
			{Token: "x", RemoteIP: text, UserAgent: text, AtLeast: text},
		}
	}
	var quick int
	for _, text := range append(odd("a b"), "<", ">", "&", "\u2028", "\xff", "'", "/") {
		for _, question := range place(text) {
			found, ok := quickQuestion(&question)
			if !ok {
				continue
			}
			quick++
			expected, err := json.Marshal(question)
			must(t, err)
			equal(t, text, string(found), string(expected))
		}
	}
	if quick < 100 {
		t.Errorf("only %d were written quickly", quick)
	}
	for _, question := range append(place("\""), place("<")...) {
		_, ok := quickQuestion(&question)
		equal(t, "a text that JSON writes otherwise", ok, false)
	}
	for _, question := range []Question{{Token: "x", Include: []string{"labels"}}, {Token: "x", Resource: &Resource{ProjectID: "x"}}} {
		_, ok := quickQuestion(&question)
		equal(t, "a list or an object", ok, false)
	}
}

func TestNoTokenStaysWithAnIdleConnection(t *testing.T) {
	made := client(t, Config{URL: serving(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, yesBody) })})
	_, err := made.Verify(background(t), Question{Token: "twd_presented"})
	must(t, err)
	equal(t, "idle", len(made.direct.idle), 1)
	room := made.direct.idle[0].room
	room = room[:cap(room)]
	equal(t, "it is kept", len(room) > 0, true)
	equal(t, "with a token", bytes.Contains(room, []byte("twd_")), false)
}
