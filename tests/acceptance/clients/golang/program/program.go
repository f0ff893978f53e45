// Package program is what the Go programs share: their command line, their events, the end of their standard input.
package program

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Heartbeat is what a rebalance waits for; below the shortest session.
const Heartbeat = 600 * time.Millisecond

// Options are the arguments by their names.
type Options map[string]string

// Fields are the rest of an event.
type Fields map[string]any

var saying sync.Mutex

// Say prints one event.
func Say(event string, rest Fields) {
	saying.Lock()
	defer saying.Unlock()
	line := Fields{"at": time.Now().UnixMicro(), "event": event}
	for name, value := range rest {
		line[name] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

// Tell prints an event about partitions.
func Tell(event string, partitions []int) {
	sorted := append([]int{}, partitions...)
	sort.Ints(sorted)
	Say(event, Fields{"partitions": sorted})
}

// Number of an option that must be one.
func (o Options) Number(name string) int {
	number, err := strconv.Atoi(o[name])
	if err != nil {
		panic(err)
	}
	return number
}

// Millis of an option that must be a number.
func (o Options) Millis(name string) time.Duration {
	return time.Duration(o.Number(name)) * time.Millisecond
}

// Expect prints that an admin call did what it should, or is an error.
func Expect(call string, held bool, got any) error {
	if !held {
		return fmt.Errorf("%s: got %v", call, got)
	}
	Say("passed", Fields{"call": call})
	return nil
}

// Until is for what a broker may do a moment after it has answered.
func Until(call string, question func() bool) error {
	for i := 0; i < 100; i++ {
		if question() {
			return Expect(call, true, nil)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return Expect(call, false, "nothing for five seconds")
}

// Steps run one after the other until one fails.
func Steps(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Main runs one of the programs by its name.
func Main(programs map[string]func(context.Context, Options) error) {
	given := Options{"protocol": "classic"}
	for i := 2; i+1 < len(os.Args); i += 2 {
		given[strings.TrimPrefix(os.Args[i], "--")] = os.Args[i+1]
	}
	stopping, stop := context.WithCancel(context.Background())
	go func() {
		buffer := make([]byte, 4096)
		for {
			if _, err := os.Stdin.Read(buffer); err != nil {
				stop()
				return
			}
		}
	}()
	if err := programs[os.Args[1]](stopping, given); err != nil {
		Say("failed", Fields{"why": err.Error()})
		os.Exit(1)
	}
}
