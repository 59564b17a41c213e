// The program that cluster tests run in pods: it serves a folder, fetches a page, writes a file, allocates memory, or
// listens and connects.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const usage = "usage: test_pod serve FOLDER | fetch URL | write FILE TEXT | fill MEGABYTES | listen PORT… | " +
	"connect SOURCE-ADDRESS PROTOCOL/ADDRESS:PORT…"

// A policy may drop packets instead of refusing them.
const timeout = 2 * time.Second

func main() {
	if len(os.Args) < 3 {
		log.Fatal(usage)
	}
	switch what := os.Args[2]; os.Args[1] {
	case "serve":
		log.Print("serving ", what)
		log.Fatal(http.ListenAndServe(":8080", http.FileServer(http.Dir(what))))
	case "fetch":
		answer, err := http.Get(what)
		if err != nil {
			log.Fatal(err)
		}
		defer answer.Body.Close()
		io.Copy(os.Stdout, answer.Body)
	case "write":
		if err := os.WriteFile(what, []byte(os.Args[3]), 0o644); err != nil {
			log.Fatal(err)
		}
	case "fill":
		megabytes, err := strconv.Atoi(what)
		if err != nil {
			log.Fatal(err)
		}
		memory := make([]byte, megabytes<<20)
		for page := 0; page < len(memory); page += os.Getpagesize() {
			memory[page] = 1
		}
		fmt.Println("filled", len(memory))
	case "listen":
		for _, port := range os.Args[2:] {
			acceptTCP(port)
			answerUDP(port)
		}
		select {}
	case "connect":
		connect(what, os.Args[3:])
	default:
		fmt.Fprintln(os.Stderr, "unknown command:", os.Args[1])
		os.Exit(2)
	}
}

// acceptTCP accepts and closes connections to a port of all addresses.
func acceptTCP(port string) {
	listener, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			connection.Close()
		}
	}()
}

// answerUDP sends packets to a port of any address back, from the same address.
func answerUDP(port string) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		log.Fatal(err)
	}
	for _, address := range addresses {
		prefix, isNetwork := address.(*net.IPNet)
		if !isNetwork || prefix.IP.To4() == nil {
			continue
		}
		socket, err := net.ListenPacket("udp4", net.JoinHostPort(prefix.IP.String(), port))
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			packet := make([]byte, 64)
			for {
				if length, sender, err := socket.ReadFrom(packet); err == nil {
					socket.WriteTo(packet[:length], sender)
				}
			}
		}()
	}
}

// connect tries all targets at once, and prints a line for each one that answers. The source address may be empty.
func connect(source string, targets []string) {
	var waiting sync.WaitGroup
	for _, target := range targets {
		waiting.Go(func() {
			if answers(source, target) {
				fmt.Println(target)
			}
		})
	}
	waiting.Wait()
}

func answers(source, target string) bool {
	protocol, address, _ := strings.Cut(target, "/")
	dialer := net.Dialer{Timeout: timeout}
	if ip := net.ParseIP(source); ip != nil && protocol == "tcp" {
		dialer.LocalAddr = &net.TCPAddr{IP: ip}
	} else if ip != nil {
		dialer.LocalAddr = &net.UDPAddr{IP: ip}
	}
	connection, err := dialer.Dial(protocol+"4", address)
	if err != nil {
		return false
	}
	defer connection.Close()
	if protocol == "tcp" {
		return true
	}
	connection.SetDeadline(time.Now().Add(timeout))
	connection.Write([]byte("?"))
	_, err = connection.Read(make([]byte, 1))
	return err == nil
}
