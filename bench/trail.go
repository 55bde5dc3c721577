package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// trail is the vends in the audit files of all replicas, by request id.
type trail map[string]int

// readTrail reads the audit files of every server that ran, also of killed ones.
func readTrail(replicas []*replica) (trail, error) {
	t := trail{}
	for _, r := range replicas {
		for _, name := range r.trails {
			file, err := os.Open(name) //nolint:gosec // a path of our own
			if err != nil {
				return nil, fmt.Errorf("reading the audit trail: %w", err)
			}
			err = t.read(file)
			_ = file.Close()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return t, nil
}

// read adds the vends of one file. An unreadable line is an error.
func (t trail) read(from io.Reader) error {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var entry struct {
			Event     string `json:"event"`
			Outcome   string `json:"outcome"`
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			return fmt.Errorf("line %q of the trail: %w", lines.Text(), err)
		}
		if entry.Event == "client_token" && entry.Outcome == "vended" {
			t[entry.RequestID]++
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the audit trail: %w", err)
	}
	return nil
}

// missing counts the vended answers without exactly one line.
func (t trail) missing(answers ...[]answer) int {
	n := 0
	for _, some := range answers {
		for _, a := range some {
			if a.vended && t[a.id] != 1 {
				n++
			}
		}
	}
	return n
}
