// torchwood <log URL> <policy file> <folder> reads a whole log with torchwood's client, as far as the policy lets it,
// verifies proofs that the log made, and leaves entries with proofs that torchwood made in the folder.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: torchwood <log URL> <policy file> <folder>")
	}
	if err := run(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url, policyFile, folder string) error {
	text, err := os.ReadFile(policyFile)
	if err != nil {
		return err
	}
	policy, err := torchwood.ParsePolicy(text)
	if err != nil {
		return err
	}
	fetcher, err := torchwood.NewTileFetcher(url)
	if err != nil {
		return err
	}
	client, err := torchwood.NewClient(fetcher)
	if err != nil {
		return err
	}
	signed, err := fetcher.ReadEndpoint(ctx, "checkpoint")
	if err != nil {
		return err
	}
	checkpoint, _, err := torchwood.VerifyCheckpoint(signed, policy)
	if err != nil {
		return err
	}
	if err := readAll(ctx, client, checkpoint.Tree); err != nil {
		return err
	}
	for _, index := range []int64{0, checkpoint.N / 2, checkpoint.N - 1} {
		entry, proof, err := client.Entry(ctx, checkpoint.Tree, index)
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		served, err := fetcher.ReadEndpoint(ctx, fmt.Sprintf("v1/entries/%d/proof", index))
		if err != nil {
			return err
		}
		if err := torchwood.VerifyProof(policy, tlog.RecordHash(entry), served); err != nil {
			return fmt.Errorf("the log's proof of entry %d: %w", index, err)
		}
		if err := save(folder, index, entry, torchwood.FormatProof(index, proof, signed)); err != nil {
			return err
		}
	}
	fmt.Printf("%d entries of %s\n", checkpoint.N, checkpoint.Origin)
	return nil
}

// readAll reads every entry; the client verifies each of them against the tree.
func readAll(ctx context.Context, client *torchwood.Client, tree tlog.Tree) error {
	next := int64(0)
	for index := range client.AllEntries(ctx, tree, 0) {
		if index != next {
			return fmt.Errorf("expected entry %d, got %d", next, index)
		}
		next++
	}
	if err := client.Err(); err != nil {
		return err
	}
	if next != tree.N {
		return fmt.Errorf("expected %d entries, got %d", tree.N, next)
	}
	return nil
}

func save(folder string, index int64, entry, proof []byte) error {
	file := filepath.Join(folder, fmt.Sprint(index))
	if err := os.WriteFile(file, entry, 0o600); err != nil {
		return err
	}
	return os.WriteFile(file+".tlog-proof", proof, 0o600)
}
