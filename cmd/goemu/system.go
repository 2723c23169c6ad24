package main

import (
	"errors"
	"fmt"
	"os"

	"goemu/internal/cli"
)

// system is the system emulator: it answers a query or runs a machine.
func system(prog string, args []string) error {
	req, err := cli.Parse(prog, args)
	if err != nil {
		return err
	}
	for _, w := range req.Warnings {
		complain(w)
	}
	if req.Query != cli.QueryNone {
		return answer(req)
	}
	if req.VM.DumpVMState != "" {
		return dumpVMState(&req.VM)
	}
	setPrefix(&req.VM)
	status, err := run(&req.VM)
	if err != nil {
		return err
	}
	os.Exit(status)
	return nil
}

// at puts the option an error is about before it.
func at(origin string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", origin, err)
}

var errNoMachine = errors.New("unsupported machine type\nUse -machine help to list supported machines")
