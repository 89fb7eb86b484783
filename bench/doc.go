// Command bench puts load on a Signalbox server and measures what it costs.
package main
