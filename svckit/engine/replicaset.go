package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	replicaSet        = "local"
	notYetInitialized = 94 // MongoDB's error code
)

// reach waits until the server is a primary.
func reach(ctx context.Context, address string) error {
	return withAdmin(ctx, address, func(admin *mongo.Database) error { return awaitPrimary(ctx, admin) })
}

// initiate makes a one-node replica set, or tells the one in the folder its
// new address: every start has a port of its own.
func initiate(ctx context.Context, address string) error {
	return withAdmin(ctx, address, func(admin *mongo.Database) error {
		if err := configure(ctx, admin, address); err != nil {
			return err
		}
		return awaitPrimary(ctx, admin)
	})
}

func withAdmin(ctx context.Context, address string, do func(*mongo.Database) error) error {
	client, err := mongo.Connect(options.Client().
		ApplyURI("mongodb://" + address + "/?directConnection=true").
		SetServerSelectionTimeout(5 * time.Second))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	return do(client.Database("admin"))
}

func configure(ctx context.Context, admin *mongo.Database, address string) error {
	var current struct {
		Config struct {
			Version int `bson:"version"`
		} `bson:"config"`
	}
	command := "replSetReconfig"
	err := admin.RunCommand(ctx, bson.D{{Key: "replSetGetConfig", Value: 1}}).Decode(&current)
	var refused mongo.CommandError
	switch {
	case errors.As(err, &refused) && refused.Code == notYetInitialized:
		command = "replSetInitiate"
	case err != nil:
		return fmt.Errorf("read the replica set's configuration: %w", err)
	}
	config := bson.D{
		{Key: "_id", Value: replicaSet},
		{Key: "version", Value: current.Config.Version + 1},
		{Key: "members", Value: bson.A{bson.D{{Key: "_id", Value: 0}, {Key: "host", Value: address}}}},
	}
	request := bson.D{{Key: command, Value: config}}
	if command == "replSetReconfig" {
		request = append(request, bson.E{Key: "force", Value: true})
	}
	if err := admin.RunCommand(ctx, request).Err(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

func awaitPrimary(ctx context.Context, admin *mongo.Database) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var hello struct {
			Primary bool `bson:"isWritablePrimary"`
		}
		err := admin.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
		if err == nil && hello.Primary {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for a primary: %w", ctx.Err()), err)
		case <-tick.C:
		}
	}
}
