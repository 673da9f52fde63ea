// Command udpecho sends what comes to a UDP port back, over IPv4 and IPv6, the sender's address before it.
//
//	udpecho PORT
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	socket, err := net.ListenPacket("udp", ":"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buffer := make([]byte, 1<<16)
	for {
		size, sender, err := socket.ReadFrom(buffer)
		if err != nil {
			continue
		}
		// What is lost is the sender's to notice, as always with UDP.
		_, _ = socket.WriteTo(fmt.Appendf(nil, "%s %s", sender, buffer[:size]), sender)
	}
}
