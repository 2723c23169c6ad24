package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"goemu/hw/pc"
	"goemu/internal/config"
)

// prefix is what -msg puts before messages.
var prefix struct {
	timestamp bool
	guest     string
}

// setPrefix applies -msg.
func setPrefix(vm *config.VM) {
	prefix.timestamp = vm.Messages.Timestamp
	if vm.Messages.GuestName {
		prefix.guest = vm.Name
	}
}

// errReported is the error of a failure that the user has been told about.
var errReported = errors.New("reported")

// reported tells the user of an error; an answer to a question for help is none.
func reported(err error) error {
	if help := pc.NICHelp(""); errors.As(err, &help) {
		fmt.Print(help)
		return nil
	}
	if err == nil || errors.Is(err, errReported) {
		return err
	}
	complain(err.Error())
	return errReported
}

// complain prints a message for the user, in QEMU's form.
func complain(text string) {
	var before string
	if prefix.timestamp {
		before = time.Now().UTC().Format("2006-01-02T15:04:05.000000Z ")
	}
	if prefix.guest != "" {
		before += prefix.guest + " "
	}
	fmt.Fprintf(os.Stderr, "%s%s: %s\n", before, progName(), text)
}

// warn prints a warning as QEMU does.
func warn(text string) { complain("warning: " + text) }

// warnAt prints a warning about an option.
func warnAt(origin, text string) { complain(origin + ": warning: " + text) }

// printLine prints a line of plain output.
func printLine(line string) { fmt.Println(line) }
