package provider

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// newDatabase is a PostgreSQL of this test alone, from the machine's own programs, and the address of a database in it.
func newDatabase(t *testing.T) string {
	t.Helper()
	programs := os.Getenv("TOKENWARD_TEST_POSTGRES")
	if programs == "" {
		programs = "/usr/lib/postgresql/15/bin"
	}
	// Its own user must get there, which the folders of a test do not allow.
	folder, err := os.MkdirTemp("", "tokenward-postgres-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	as := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() == 0 {
		// It refuses to run as root.
		it, err := user.Lookup("postgres")
		must(t, err)
		uid, err := strconv.Atoi(it.Uid)
		must(t, err)
		gid, err := strconv.Atoi(it.Gid)
		must(t, err)
		must(t, os.Chown(folder, uid, gid))
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	command := func(name string, arguments ...string) *exec.Cmd {
		command := exec.Command(filepath.Join(programs, name), arguments...)
		command.Dir, command.Env, command.SysProcAttr = folder, []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}, as
		return command
	}
	data := filepath.Join(folder, "data")
	if said, err := command("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--pgdata", data).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	_, port, _ := strings.Cut(freeAddress(t), ":")
	server := command("postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off")
	must(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT)
		_ = server.Wait()
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		said, err := command("createdb", "--host=127.0.0.1", "--username=postgres", "--port", port, "tokens").CombinedOutput()
		if err == nil {
			return "postgres://postgres@127.0.0.1:" + port + "/tokens"
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v\n%s", err, said)
		}
	}
}

// What one node has done, the other one knows when it is asked: everything is written on the first and read on the second, which by
// itself looks once a minute.
func TestWhatOneNodeWroteTheOtherOneReads(t *testing.T) {
	database := newDatabase(t)
	writes, reads := newNode(t, "--database", database), newNode(t, "--database", database)
	writes.bootstrap()
	pepper, err := os.ReadFile(filepath.Join(writes.data(), "pepper"))
	must(t, err)
	must(t, os.Mkdir(reads.data(), 0o700))
	must(t, os.WriteFile(filepath.Join(reads.data(), "pepper"), pepper, 0o600))
	writes.settings = []string{"TOKENWARD_NODE_NAME=writes"}
	reads.settings = []string{"TOKENWARD_NODE_NAME=reads", "TOKENWARD_HINTS=false", "TOKENWARD_POLL_INTERVAL_MS=60000", "TOKENWARD_MAX_STALENESS_MS=3600000"}
	writes.start()
	reads.start()
	reads.Organization, reads.Admin = writes.Organization, writes.Admin

	way := func(to *ownServer) *httputil.ReverseProxy {
		at, err := url.Parse(to.URL)
		must(t, err)
		return httputil.NewSingleHostReverseProxy(at)
	}
	toWrites, toReads := way(writes), way(reads)
	var mutex sync.Mutex
	var written, unaware []string
	both := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		asked := request.Method + " " + request.URL.Path
		if request.Method == http.MethodGet {
			if len(written) > 0 && request.Header.Get("Tokenward-At-Least") == "" {
				unaware = append(unaware, asked)
			}
			toReads.ServeHTTP(w, request)
			return
		}
		toWrites.ServeHTTP(w, request)
		// What only asks what would be made has none.
		if w.Header().Get("Tokenward-Position") != "" {
			written = append(written, asked)
		}
	}))
	defer both.Close()
	it := writes.world
	it.URL = both.URL
	c := newCore(t, it, everything("nodes"))
	// One after the other, so that each reads after it has heard where the one before was written. What a run begins with knows of
	// nothing, and learns it where something seems not to be there.
	apply := func(more ...string) {
		t.Helper()
		written, unaware = nil, nil
		c.run(append([]string{"apply", "-auto-approve", "-input=false", "-parallelism=1"}, more...)...)
		mutex.Lock()
		defer mutex.Unlock()
		if len(written) == 0 || len(unaware) > 0 {
			t.Errorf("%v were written, and these asked without the position of it: %v", written, unaware)
		}
	}
	apply()
	c.run("plan", "-detailed-exitcode", "-input=false")
	for _, secret := range c.generated() {
		if code := verify(t, writes.world, secret); code != lives(secret) {
			t.Errorf("a token of the state is %s", code)
		}
	}
	c.write(strings.Replace(everything("nodes"), "generate = true", "generate = true\n  labels = { step = \"two\" }\n  rotate_triggers = { a = \"b\" }", 1))
	apply()
	c.run("plan", "-detailed-exitcode", "-input=false")
	apply("-destroy")
	writes.once("nodes-", 0, "after the end")
	writes.healthy()
	reads.healthy()
}
