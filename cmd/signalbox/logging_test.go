package main

import (
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// records takes each record that is written.
type records chan string

func (c records) Write(record []byte) (int, error) {
	c <- string(record)
	return len(record), nil
}

// TestLibrariesLog: what net/http says of a receiver that speaks unasked is a record
// of the log, and only at debug level.
func TestLibrariesLog(t *testing.T) {
	standard := slog.Default()
	t.Cleanup(func() {
		slog.SetDefault(standard)
		log.SetOutput(os.Stderr)
		log.SetFlags(log.LstdFlags)
	})
	flags := loggingFlags{LogFormat: "json", LogLevel: "debug"}
	outC := make(records, 8)
	if _, err := flags.logger(outC); err != nil {
		t.Fatal(err)
	}
	speakUnasked(t)
	select {
	case text := <-outC:
		var record struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(text), &record); err != nil || record.Level != "DEBUG" || !strings.Contains(record.Msg, "Unsolicited response") {
			t.Errorf("got %q (%v), want what net/http says, at debug level", text, err)
		}
	case <-time.After(patience):
		t.Fatal("net/http has said nothing")
	}

	flags.LogLevel = "info"
	logger, err := flags.logger(outC)
	if err != nil {
		t.Fatal(err)
	}
	log.Print("a library's")
	logger.Info("our own")
	if text := <-outC; !strings.Contains(text, "our own") {
		t.Errorf("got %q, want our own record alone", text)
	}
}

// speakUnasked has net/http ask a server that goes on to speak once it has answered.
func speakUnasked(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	spokenC := make(chan error, 1)
	goOnC := make(chan struct{})
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			spokenC <- err
			return
		}
		defer conn.Close()
		if _, err = conn.Read(make([]byte, 4096)); err == nil {
			_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
		<-goOnC
		if err == nil {
			_, err = io.WriteString(conn, "hush")
		}
		_, _ = conn.Read(make([]byte, 1)) // until the client has closed it
		spokenC <- err
	}()
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	resp, err := client.Get("http://" + ln.Addr().String())
	if err == nil {
		_ = resp.Body.Close()
	}
	close(goOnC)
	if spoken := <-spokenC; err != nil || spoken != nil {
		t.Fatal(err, spoken)
	}
}
