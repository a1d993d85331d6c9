// How much time of its own does the client take, and how much of what load clients reach do 64 at once reach?
//
//	scripts/clients bench
//
// Beside the client, in one run, by turns, of the same server, with 64 connections and the same body: what people load-test with in Go
// (fasthttp, with which bombardier does; vegeta; net/http, with which hey does), and sockets that send a ready request and look for
// nothing but its end, which no client can beat. A module of its own, so that the client has no dependency.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	tokenward "github.com/tokenward/tokenward/clients/go"
	vegeta "github.com/tsenart/vegeta/v12/lib"
	"github.com/valyala/fasthttp"
)

const (
	times  = 2000
	rounds = 5
	atOnce = 64
	// How long each way is asked in a round.
	burst = time.Second
	limit = 30 * time.Second
)

var yes = []byte(`"valid":true`)

// world is what clients/testing/world.py made ready.
type world struct {
	URL        string            `json:"url"`
	Credential string            `json:"credential"`
	Tokens     map[string]string `json:"tokens"`
	// Of the URL.
	host string
	body []byte
}

// ask asks once.
type ask func() error

// way is one to ask 64 at once; it answers how many questions a second.
type way struct {
	name string
	// Do people load-test with it?
	load bool
	rate func() (float64, error)
}

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	it, err := theWorld()
	if err != nil {
		return err
	}
	ours, err := tokenward.New(tokenward.Config{URL: it.URL, Credential: it.Credential, Timeout: limit})
	if err != nil {
		return err
	}
	if err := alone(it, ours); err != nil {
		return err
	}
	ways, err := it.ways(ours)
	if err != nil {
		return err
	}
	found := make([][]float64, len(ways))
	// The first round does not count: connections are made in it.
	for round := range rounds + 1 {
		for at, way := range ways {
			rate, err := way.rate()
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			if round > 0 {
				found[at] = append(found[at], rate)
			}
		}
	}
	client, bare, best := median(found[0]), median(found[len(ways)-1]), 1
	for at, way := range ways {
		fmt.Printf("go: 64 at once, %s: %.0f/s\n", way.name, median(found[at]))
		if way.load && median(found[at]) > median(found[best]) {
			best = at
		}
	}
	fmt.Printf("go: %.0f%% of the best load client (%s), %.0f%% of bare sockets\n", 100*client/median(found[best]), ways[best].name, 100*client/bare)
	return nil
}

func theWorld() (world, error) {
	var it world
	content, err := os.ReadFile(os.Getenv("TOKENWARD_WORLD"))
	if err != nil {
		return it, fmt.Errorf("run this by scripts/clients: %w", err)
	}
	if err := json.Unmarshal(content, &it); err != nil {
		return it, err
	}
	at, err := url.Parse(it.URL)
	if err != nil {
		return it, err
	}
	it.host, it.body = at.Host, fmt.Appendf(nil, `{"token":%q,"permission":"invoices:write"}`, it.Tokens["living"])
	return it, nil
}

// alone tells how long a question takes on one connection, in turns, so that what else the machine does is the same for both.
func alone(it world, ours *tokenward.Client) error {
	bare, err := it.bareSocket()
	if err != nil {
		return err
	}
	var found [2][]float64
	for range 3 {
		for at, ask := range []ask{it.asking(context.Background(), ours), bare} {
			took := make([]float64, times)
			for n := range took {
				begun := time.Now()
				if err := ask(); err != nil {
					return err
				}
				took[n] = float64(time.Since(begun)) / float64(time.Microsecond)
			}
			found[at] = append(found[at], median(took))
		}
	}
	took, least := median(found[0]), median(found[1])
	fmt.Printf("go: one connection %.0f µs, bare socket %.0f µs: %.0f µs of its own\n", took, least, took-least)
	return nil
}

// ways are the client, what it is compared with, and bare sockets, in this order.
func (it world) ways(ours *tokenward.Client) ([]way, error) {
	client, err := several(func() (ask, error) {
		// A context of its own, as each request to a service has one. It ends with the process.
		ctx, cancel := context.WithCancel(context.Background())
		_ = cancel
		return it.asking(ctx, ours), nil
	})
	if err != nil {
		return nil, err
	}
	shared := &fasthttp.HostClient{Addr: it.host, MaxConns: atOnce, ReadTimeout: limit, WriteTimeout: limit, NoDefaultUserAgentHeader: true}
	fast, err := several(func() (ask, error) { return it.fasthttp(shared), nil })
	if err != nil {
		return nil, err
	}
	usual := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce, MaxConnsPerHost: atOnce, DisableCompression: true}, Timeout: limit}
	byHTTP, err := several(func() (ask, error) { return it.netHTTP(usual), nil })
	if err != nil {
		return nil, err
	}
	bare, err := several(it.bareSocket)
	if err != nil {
		return nil, err
	}
	return []way{
		{"the client", false, together(client)},
		{"fasthttp", true, together(fast)},
		{"vegeta", true, it.vegeta},
		{"net/http", true, together(byHTTP)},
		{"bare sockets", false, together(bare)},
	}, nil
}

func several(another func() (ask, error)) ([]ask, error) {
	var asks []ask
	for range atOnce {
		one, err := another()
		if err != nil {
			return nil, err
		}
		asks = append(asks, one)
	}
	return asks, nil
}

// together asks by each over and over, in a goroutine of its own.
func together(asks []ask) func() (float64, error) {
	return func() (float64, error) {
		var asked atomic.Int64
		failed := make([]error, len(asks))
		var all sync.WaitGroup
		begun := time.Now()
		for at, ask := range asks {
			all.Add(1)
			go func() {
				defer all.Done()
				var mine int64
				for failed[at] == nil && time.Since(begun) < burst {
					failed[at] = ask()
					mine++
				}
				asked.Add(mine)
			}()
		}
		all.Wait()
		return float64(asked.Load()) / time.Since(begun).Seconds(), errors.Join(failed...)
	}
}

func (it world) asking(ctx context.Context, ours *tokenward.Client) ask {
	question := tokenward.Ask(it.Tokens["living"], "invoices:write")
	return func() error {
		verdict, err := ours.Verify(ctx, question)
		if err == nil && !verdict.Valid {
			err = errors.New(verdict.Code)
		}
		return err
	}
}

// bareSocket is a connection that sends what is ready.
func (it world) bareSocket() (ask, error) {
	request := fmt.Appendf(nil, "POST /verify HTTP/1.1\r\nHost: %s\r\nAuthorization: Token %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		it.host, it.Credential, len(it.body), it.body)
	connection, err := net.Dial("tcp", it.host)
	if err != nil {
		return nil, err
	}
	room := make([]byte, 16384)
	return func() error {
		if _, err := connection.Write(request); err != nil {
			return err
		}
		read := 0
		for read == 0 || room[read-1] != '}' {
			more, err := connection.Read(room[read:])
			if err != nil {
				return err
			}
			read += more
		}
		return check(200, room[:read])
	}, nil
}

func (it world) fasthttp(shared *fasthttp.HostClient) ask {
	request, answer := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	request.SetRequestURI(it.URL + "/verify")
	request.Header.SetMethod(http.MethodPost)
	request.Header.SetContentType("application/json")
	request.Header.Set("Authorization", "Token "+it.Credential)
	request.SetBody(it.body)
	return func() error {
		if err := shared.Do(request, answer); err != nil {
			return err
		}
		return check(answer.StatusCode(), answer.Body())
	}
}

func (it world) netHTTP(shared *http.Client) ask {
	return func() error {
		request, err := http.NewRequest(http.MethodPost, it.URL+"/verify", bytes.NewReader(it.body))
		if err != nil {
			return err
		}
		request.Header = it.header()
		answer, err := shared.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		content, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		return check(answer.StatusCode, content)
	}
}

func (it world) vegeta() (float64, error) {
	attacker := vegeta.NewAttacker(vegeta.Workers(atOnce), vegeta.MaxWorkers(atOnce), vegeta.Connections(atOnce), vegeta.MaxConnections(atOnce),
		vegeta.HTTP2(false), vegeta.Timeout(limit))
	target := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodPost, URL: it.URL + "/verify", Body: it.body, Header: it.header()})
	asked, begun := 0, time.Now()
	// No rate is as fast as it can.
	for result := range attacker.Attack(target, vegeta.Rate{}, burst, "verify") {
		if result.Error != "" {
			return 0, errors.New(result.Error)
		}
		if err := check(int(result.Code), result.Body); err != nil {
			return 0, err
		}
		asked++
	}
	return float64(asked) / time.Since(begun).Seconds(), nil
}

func (it world) header() http.Header {
	return http.Header{"Authorization": {"Token " + it.Credential}, "Content-Type": {"application/json"}}
}

func check(status int, content []byte) error {
	if status != 200 || !bytes.Contains(content, yes) {
		return fmt.Errorf("status %d: %s", status, content)
	}
	return nil
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
