// The program that cluster tests run in pods: it serves a folder, fetches a page, writes a file, or allocates memory.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
)

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: test_pod serve FOLDER | fetch URL | write FILE TEXT | fill MEGABYTES")
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
	default:
		fmt.Fprintln(os.Stderr, "unknown command:", os.Args[1])
		os.Exit(2)
	}
}
