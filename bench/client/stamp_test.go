package client

import (
	"encoding/json"
	"math"
	"testing"
)

func TestStamp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stamp Stamp
		size  int
		tail  string // what the server puts behind the data
	}{
		{"least", Stamp{}, MinData, ""},
		{"padded", Stamp{Slot: 63, At: 1_234_567_890_123}, 100, "}"},
		{"most", Stamp{Slot: math.MaxUint32, At: math.MaxInt64}, 200, "}}}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := AppendData(nil, tt.size, tt.stamp)
			if len(data) != tt.size || !json.Valid(data) {
				t.Errorf("got %d bytes, JSON %t, want %d", len(data), json.Valid(data), tt.size)
			}
			payload := []byte(`{"type":"message","data":` + string(data) + tt.tail)
			if got, ok := ReadStamp(payload, len(tt.tail)); !ok || got != tt.stamp {
				t.Errorf("got %v, %t, want %v", got, ok, tt.stamp)
			}
			if got, ok := ReadSlot(payload, len(tt.tail)); !ok || got != tt.stamp.Slot {
				t.Errorf("got slot %d, %t, want %d", got, ok, tt.stamp.Slot)
			}
		})
	}
}

func TestNoStamp(t *testing.T) {
	for _, tt := range []struct{ name, payload string }{
		{"empty", ""},
		{"short", `{"k":"0"}`},
		{"other data", `{"type":"message","channel":"c","from":"somebody else","data":"no stamp at all"}`},
		{"upper case", `{"p":"","k":"0000000A0000000000000001"}`},
	} {
		if _, ok := ReadStamp([]byte(tt.payload), 1); ok {
			t.Errorf("%s: found a stamp", tt.name)
		}
		if _, ok := ReadSlot([]byte(tt.payload), 1); ok {
			t.Errorf("%s: found a slot", tt.name)
		}
	}
}

// TestReadingAllocatesNothing: it is done for every delivery.
func TestReadingAllocatesNothing(t *testing.T) {
	payload := append([]byte(`{"type":"message","channel":"c","from":"p","data":`), AppendData(nil, 80, Stamp{1, 2})...)
	payload = append(payload, '}')
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := ReadStamp(payload, 1); !ok || KindOf(payload) != Message {
			t.Fatal("no stamp")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
