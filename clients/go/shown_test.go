package tokenward

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestWhatIsShownNamesNoToken(t *testing.T) {
	const own, theirs = "twd_of_the_service", "twd_of_a_caller"
	made := client(t, Config{URL: "http://127.0.0.1:9", Credential: own})
	config := Config{URL: "https://user:hush@tokens.acme.example", Credential: own}
	question := Ask(theirs, "a:b")
	var log bytes.Buffer
	for _, logger := range []*slog.Logger{slog.New(slog.NewJSONHandler(&log, nil)), slog.New(slog.NewTextHandler(&log, nil))} {
		logger.Info("shown", "client", made, "config", config, "question", question)
	}
	texts := []string{log.String()}
	for _, it := range []any{made, *made, config, &config, question, &question, []Question{question}, map[string]Config{"a": config}} {
		for _, form := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			texts = append(texts, fmt.Sprintf(form, it))
		}
	}
	for _, text := range texts {
		for _, secret := range []string{own, theirs, "hush", fmt.Sprintf("%x", own), fmt.Sprintf("%x", theirs)} {
			if strings.Contains(text, secret) {
				t.Errorf("%s stands in %s", secret, text)
			}
		}
	}
	if !strings.Contains(fmt.Sprint(made, question), "127.0.0.1:9") || !strings.Contains(fmt.Sprint(question), "a:b") {
		t.Errorf("%v %v", made, question)
	}
	var none *Client
	equal(t, "no client", fmt.Sprint(none), "<nil>")
}

// Whoever only sends back what came is quoted by net/http.
func TestWhatASomebodyElseSendsBackIsNotQuoted(t *testing.T) {
	for _, first := range []string{
		"twd_service twd_x\r\n\r\n",
		"HTTP/1.1 200 OK\r\ntwd_service twd_x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: twd_x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: twd_x\r\n\r\n",
		"HTTP/1.1 307 Elsewhere\r\nLocation: http://[twd_x\r\nContent-Length: 0\r\n\r\n",
	} {
		url := listening(t, func(connection net.Conn) {
			readRequest(connection)
			_, _ = io.WriteString(connection, first)
		})
		for _, transport := range []http.RoundTripper{nil, &http.Transport{}} {
			_, err := client(t, Config{URL: url, Transport: transport}).Verify(background(t), Question{Token: "twd_x"})
			equal(t, "kind", kindOf(err), BadAnswer)
			if strings.Contains(err.Error(), "twd_") {
				t.Error(err)
			}
		}
	}
}
