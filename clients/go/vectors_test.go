package tokenward

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLimitsAndReasonsAreThoseOfTheServer(t *testing.T) {
	vectors := theWorld(t).Vectors
	equal(t, "presented", PresentedBytes, vectors.PresentedBytes)
	equal(t, "batch", BatchSize, vectors.Batch)
	equal(t, "reasons", len(reasons), len(vectors.Reasons))
	for _, row := range vectors.Reasons {
		status := 403
		if row.RefusesCredential {
			status = 401
		}
		if row.Code == RateLimited || row.Code == QuotaExceeded {
			status = 429
		}
		equal(t, string(row.Code), reasons[row.Code], meaning{status, row.Sentence})
	}
}

func TestAnAddressIsReadOrRefused(t *testing.T) {
	for _, row := range theWorld(t).Vectors.URLs {
		made, err := New(Config{URL: row.URL, Credential: "x"})
		if row.Refused {
			equal(t, row.URL, kindOf(err), BadQuestion)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
			continue
		}
		must(t, err)
		equal(t, row.URL, made.base, row.Base)
	}
}

func TestAQuestionIsSentAsItIsOrNever(t *testing.T) {
	var sent []string
	url := serving(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = append(sent, r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Idempotency-Key"), string(body))
		_, _ = io.WriteString(w, `{"valid":false,"code":"unknown"}`)
	})
	client := client(t, Config{URL: url + "/below/"})
	for _, row := range theWorld(t).Vectors.Questions {
		sent = nil
		verdict, err := client.Verify(background(t), row.Ask)
		switch {
		case row.Refused:
			equal(t, "kind", kindOf(err), BadQuestion)
			equal(t, "sent", len(sent), 0)
		case row.Malformed:
			must(t, err)
			equal(t, "reason", verdict.Reason, Malformed)
			equal(t, "sent", len(sent), 0)
		default:
			must(t, err)
			var found, expected any
			must(t, json.Unmarshal([]byte(sent[4]), &found))
			must(t, json.Unmarshal(row.Body, &expected))
			if !reflect.DeepEqual(found, expected) {
				t.Errorf("%s is not %s", sent[4], row.Body)
			}
			equal(t, "request", strings.Join(sent[:4], " "), "POST /below/verify Token twd_service ")
		}
	}
}

func TestEachAnswerSaysWhatItMust(t *testing.T) {
	for _, row := range theWorld(t).Vectors.Answers {
		t.Run(row.Name, func(t *testing.T) {
			url := serving(t, func(w http.ResponseWriter, r *http.Request) {
				for name, value := range row.Headers {
					w.Header().Set(name, value)
				}
				w.WriteHeader(row.Status)
				_, _ = w.Write(row.content(t))
			})
			client := client(t, Config{URL: url})
			verdict, err := client.Verify(background(t), Ask("twd_x", "invoices:write"))
			equal(t, "kind", kindOf(err), row.Error)
			if row.Verdict != nil {
				equal(t, "valid", verdict.Valid, row.Verdict.Valid)
				equal(t, "code", verdict.Code, row.Verdict.Code)
				equal(t, "reason", verdict.Reason, row.Verdict.Reason)
				equal(t, "missing", verdict.MissingPermission, row.Verdict.MissingPermission)
				equal(t, "decision", verdict.DecisionID, row.Verdict.DecisionID)
				equal(t, "wait", verdict.RetryAfter, time.Duration(row.Verdict.RetryAfter)*time.Second)
				if !reflect.DeepEqual(verdict.Token, row.Verdict.Token) {
					t.Errorf("%+v, not %+v", verdict.Token, row.Verdict.Token)
				}
				if verdict.DecisionID != "" {
					equal(t, "explain", verdict.Explain, url+"/decision/"+verdict.DecisionID)
				}
			}
			errors := 0
			guarded := require(t, client, Needs{Permission: "invoices:write", OnError: func(*http.Request, *Error) { errors++ }})
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.Header.Set("Authorization", "Token twd_x")
			recorder := httptest.NewRecorder()
			guarded.ServeHTTP(recorder, request)
			equal(t, "status", recorder.Code, row.Respond.Status)
			equal(t, "errors", errors > 0, row.Error != "")
			if row.Respond.Status == 200 {
				return
			}
			var body struct{ Code, Detail, Missing_permission string }
			must(t, json.Unmarshal(recorder.Body.Bytes(), &body))
			equal(t, "code", body.Code, row.Respond.Code)
			equal(t, "missing", body.Missing_permission, row.Respond.MissingPermission)
			equal(t, "challenge", recorder.Header().Get("WWW-Authenticate"), row.Respond.Challenge)
			if row.Respond.Detail != "" {
				equal(t, "detail", body.Detail, row.Respond.Detail)
			}
			if row.Respond.RetryAfter == 7 {
				equal(t, "retry", recorder.Header().Get("Retry-After"), "7")
			}
		})
	}
}

func TestOneCredentialOfARequestIsFoundOrNone(t *testing.T) {
	for _, row := range theWorld(t).Vectors.Credentials {
		headers := http.Header{}
		for _, pair := range row.Headers {
			headers.Add(pair[0], pair[1])
		}
		token, code := credential(headers)
		equal(t, "token", token, row.Token)
		equal(t, "code", code, row.Code)
		if code != "" {
			equal(t, "challenge", noCredential(code).challenge, row.Challenge)
		}
	}
}

func require(t *testing.T, client *Client, needs Needs) http.Handler {
	t.Helper()
	around, err := Require(client, needs)
	must(t, err)
	return around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		passed, ok := FromContext(r.Context())
		if !ok {
			t.Error("no token in the context")
		}
		_, _ = io.WriteString(w, "hello "+passed.Token.Name)
	}))
}
