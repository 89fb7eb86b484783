package client

import "time"

// epoch is when the process started, as Now counts.
var epoch = time.Now()

// Now is the monotonic time in nanoseconds since the process started.
func Now() int64 { return int64(time.Since(epoch)) }
