package tokenward

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// What nearly each question and answer looks like is written and read here, in a fraction of the time that encoding/json and net/http
// take. Whatever looks otherwise in any way is left to them, and nothing is read here that they would read otherwise.

var lineEnd, headEnd = []byte("\r\n"), []byte("\r\n\r\n")

// quickHead reads the head of an answer that has a body of a known length and whose connection stays open.
func quickHead(head []byte) (answer reply, length int, ok bool) {
	const version = "HTTP/1.1 "
	line, rest, more := bytes.Cut(head, lineEnd)
	if len(line) < len(version)+3 || string(line[:len(version)]) != version || !isPlain(line) {
		return reply{}, 0, false
	}
	code, reason := line[len(version):len(version)+3], line[len(version)+3:]
	// What is below 200 is no answer yet. 204 and 304 have no body, whatever they say.
	if code[0] < '2' || code[0] > '5' || len(reason) > 0 && reason[0] != ' ' {
		return reply{}, 0, false
	}
	answer.status, ok = number(code)
	if !ok || answer.status == 204 || answer.status == 304 {
		return reply{}, 0, false
	}
	length = -1
	for more {
		var field []byte
		field, rest, more = bytes.Cut(rest, lineEnd)
		name, value, found := bytes.Cut(field, []byte{':'})
		if !found || !isName(name) || !isPlain(value) {
			return reply{}, 0, false
		}
		switch {
		case is(name, "content-length"):
			before := length
			if length, ok = number(bytes.Trim(value, " \t")); !ok || before >= 0 {
				return reply{}, 0, false
			}
		case is(name, "retry-after"):
			before := answer.retryAfter
			if answer.retryAfter = string(bytes.Trim(value, " \t")); answer.retryAfter == "" || before != "" {
				return reply{}, 0, false
			}
		case is(name, "connection"), is(name, "transfer-encoding"), is(name, "trailer"):
			return reply{}, 0, false
		}
	}
	return answer, length, length >= 0
}

// is compares what isName with a name in small letters.
func is(name []byte, small string) bool {
	return len(name) == len(small) && strings.EqualFold(string(name), small)
}

// number reads 1 to 9 digits.
func number(digits []byte) (int, bool) {
	if len(digits) == 0 || len(digits) > 9 {
		return 0, false
	}
	sum := 0
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		sum = sum*10 + int(digit-'0')
	}
	return sum, true
}

func isName(text []byte) bool {
	for _, letter := range text {
		if letter|0x20 >= 'a' && letter|0x20 <= 'z' || letter >= '0' && letter <= '9' || letter == '-' || letter == '_' {
			continue
		}
		return false
	}
	return len(text) > 0
}

func isPlain(text []byte) bool {
	for _, letter := range text {
		if (letter < ' ' || letter > '~') && letter != '\t' {
			return false
		}
	}
	return true
}

// quickVerdict reads a verdict out of a body that is UTF-8. Where it cannot, `into` is as it was.
func quickVerdict(body []byte, into *verdictBody) bool {
	text := scan{rest: string(body)}
	found, ok := text.verdict()
	if !ok || text.rest != "" {
		return false
	}
	*into = found
	return true
}

// scan is what is left of a text of JSON without any space between its parts.
type scan struct{ rest string }

// take takes the next part, where it is that.
func (s *scan) take(part string) bool {
	after, found := strings.CutPrefix(s.rest, part)
	if found {
		s.rest = after
	}
	return found
}

// text takes a text without an escape.
func (s *scan) text() (string, bool) {
	if s.rest == "" || s.rest[0] != '"' {
		return "", false
	}
	for at := 1; at < len(s.rest); at++ {
		switch letter := s.rest[at]; {
		case letter == '"':
			found := s.rest[1:at]
			s.rest = s.rest[at+1:]
			return found, true
		case letter == '\\' || letter < ' ':
			return "", false
		}
	}
	return "", false
}

// name takes the name of a field, and the colon behind it.
func (s *scan) name() (string, bool) {
	name, ok := s.text()
	return name, ok && s.take(":")
}

func (s *scan) seconds() (uint32, bool) {
	end := 0
	for end < len(s.rest) && s.rest[end] >= '0' && s.rest[end] <= '9' {
		end++
	}
	if end > 1 && s.rest[0] == '0' {
		return 0, false
	}
	found, err := strconv.ParseUint(s.rest[:end], 10, 32)
	s.rest = s.rest[end:]
	return uint32(found), err == nil
}

func (s *scan) verdict() (found verdictBody, ok bool) {
	var seen int
	for before := "{"; s.take(before); before = "," {
		name, ok := s.name()
		if !ok {
			return found, false
		}
		var field int
		switch name {
		case "valid":
			field = 1
			valid := s.take("true")
			ok = valid || s.take("false")
			found.Valid = &valid
		case "code":
			field = 2
			var code string
			code, ok = s.text()
			found.Code = &code
		case "token":
			field = 4
			if !s.take("null") {
				found.Token, ok = s.holder()
			}
		case "missing_permission":
			field = 8
			found.MissingPermission, ok = s.text()
		case "decision_id":
			field = 16
			found.DecisionID, ok = s.text()
		case "retry_after":
			field = 32
			found.RetryAfter, ok = s.seconds()
		}
		// None of these, or one a second time.
		if !ok || field == 0 || seen&field != 0 {
			return found, false
		}
		seen |= field
	}
	return found, seen != 0 && s.take("}")
}

func (s *scan) holder() (*Holder, bool) {
	found := &Holder{}
	var seen int
	for before := "{"; s.take(before); before = "," {
		name, ok := s.name()
		if !ok {
			return nil, false
		}
		var field int
		switch name {
		case "id":
			field = 1
			found.ID, ok = s.text()
		case "name":
			field = 2
			found.Name, ok = s.text()
		case "kind":
			field = 4
			found.Kind, ok = s.text()
		case "organization_id":
			field = 8
			found.OrganizationID, ok = s.text()
		case "role_id":
			field = 16
			found.RoleID, ok = s.text()
		case "role_name":
			field = 32
			found.RoleName, ok = s.text()
		case "expires_at":
			field = 64
			if !s.take("null") {
				found.ExpiresAt, ok = s.time()
			}
		}
		if !ok || field == 0 || seen&field != 0 {
			return nil, false
		}
		seen |= field
	}
	return found, seen != 0 && s.take("}")
}

func (s *scan) time() (*time.Time, bool) {
	text, ok := s.text()
	found := &time.Time{}
	// An hour of one figure is read here by some versions of Go, and refused in JSON.
	whole := len(text) >= len("2006-01-02T15:04:05Z") && text[13] == ':' && text[16] == ':'
	return found, ok && whole && found.UnmarshalText([]byte(text)) == nil
}

// quickQuestion writes a question, where all of its texts stand in JSON as they are.
func quickQuestion(q *Question) ([]byte, bool) {
	if q.Resource != nil || len(q.Include) > 0 {
		return nil, false
	}
	w := written{make([]byte, 0, 256+len(q.Token)+len(q.UserAgent)), true}
	w.text(`{"token":"`, q.Token)
	if q.Permission != nil {
		w.text(`,"permission":"`, *q.Permission)
	}
	if q.API != nil {
		w.text(`,"api":"`, *q.API)
	}
	if q.Request != nil {
		w.text(`,"request":{"method":"`, q.Request.Method)
		w.text(`,"path":"`, q.Request.Path)
		if q.Request.Body != nil {
			w.text(`,"body":"`, *q.Request.Body)
		}
		w.bytes = append(w.bytes, '}')
	}
	if q.RemoteIP != "" {
		w.text(`,"remote_ip":"`, q.RemoteIP)
	}
	if q.UserAgent != "" {
		w.text(`,"user_agent":"`, q.UserAgent)
	}
	if q.AtLeast != "" {
		w.text(`,"at_least":"`, q.AtLeast)
	}
	return append(w.bytes, '}'), w.plain
}

type written struct {
	bytes []byte
	// Does all of it stand there as it is?
	plain bool
}

func (w *written) text(before, text string) {
	for at := 0; at < len(text) && w.plain; at++ {
		// encoding/json writes the last three otherwise, too, for pages.
		letter := text[at]
		w.plain = letter >= ' ' && letter <= '~' && letter != '"' && letter != '\\' && letter != '<' && letter != '>' && letter != '&'
	}
	if w.plain {
		w.bytes = append(append(append(w.bytes, before...), text...), '"')
	}
}
