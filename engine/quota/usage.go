package quota

import "time"

// Usage is one app's use in one period, as GET /v1/usage shows it.
type Usage struct {
	PeriodStartUnix    int64 `json:"periodStartUnix"` // unix seconds, inclusive
	PeriodEndUnix      int64 `json:"periodEndUnix"`   // unix seconds, exclusive
	ConcurrentNow      int64 `json:"concurrentNow"`
	PeakConcurrent     int64 `json:"peakConcurrent"` // highest ConcurrentNow of the period
	MessagesUsed       int64 `json:"messagesUsed"`   // attempts, refused ones included
	OverageMessages    int64 `json:"overageMessages"`
	OverageConnections int64 `json:"overageConnections"`
}

// month returns the bounds of the calendar month in UTC that holds t.
func month(t time.Time) (start, end time.Time) {
	year, m, _ := t.UTC().Date()
	start = time.Date(year, m, 1, 0, 0, 0, 0, time.UTC)
	return start, start.AddDate(0, 1, 0)
}
