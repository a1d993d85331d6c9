package tokenward

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheExampleOfTheReadmeWorksAsItStands(t *testing.T) {
	it := theWorld(t)
	readme, err := os.ReadFile("README.md")
	must(t, err)
	_, example, _ := strings.Cut(string(readme), "```go\n")
	example, _, _ = strings.Cut(example, "```")
	here, err := filepath.Abs(".")
	must(t, err)
	module := "github.com/tokenward/tokenward/clients/go"
	folder := t.TempDir()
	for name, text := range map[string]string{
		"main.go": example,
		"go.mod":  "module example\n\ngo 1.24\n\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + here + "\n",
	} {
		must(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	build := exec.Command("go", "build", "-o", "example", ".")
	build.Dir = folder
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, port, _ := net.SplitHostPort(probe.Addr().String())
	must(t, probe.Close())
	service := exec.Command(filepath.Join(folder, "example"))
	service.Env = append(os.Environ(), "TOKENWARD_URL="+it.URL, "TOKENWARD_TOKEN="+it.Credential, "PORT="+port)
	must(t, service.Start())
	defer func() {
		_ = service.Process.Kill()
		_ = service.Wait()
	}()
	request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+"/invoices", nil)
	must(t, err)
	request.Header.Set("Authorization", "Token "+it.Tokens["living"])
	for attempt := 0; ; attempt++ {
		if connection, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			connection.Close()
			break
		} else if attempt > 200 {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	answer, text := ask(t, request)
	equal(t, "status", answer.StatusCode, 200)
	equal(t, "text", text, "hello living")
}
