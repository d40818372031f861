// A minimal deployment with the AWS CDK: queue, dead-letter queue, function, role. docs/other-tools.md says what the SAM
// template has besides.
//
//     npm install aws-cdk-lib constructs   # and Node 22.18 or later, which runs TypeScript
//     npx cdk --app 'node app.ts' deploy -c perseusUrl=https://perseus.example.com/v1/records -c archive=perseus-forwarder-1.2.3-x86_64.zip

import { App, Duration, Stack, aws_lambda as lambda, aws_lambda_event_sources as sources, aws_sqs as sqs } from 'aws-cdk-lib';

const app = new App();
const stack = new Stack(app, 'perseus-forwarder');

const deadLetters = new sqs.Queue(stack, 'DeadLetters', {
  enforceSSL: true,
  retentionPeriod: Duration.days(14),
});
const messages = new sqs.Queue(stack, 'Messages', {
  enforceSSL: true,
  // At least six times the function's timeout, and the batching window.
  visibilityTimeout: Duration.seconds(370),
  deadLetterQueue: { queue: deadLetters, maxReceiveCount: 10 },
});

const forwarder = new lambda.Function(stack, 'Forwarder', {
  runtime: lambda.Runtime.PROVIDED_AL2023,
  architecture: lambda.Architecture.X86_64,
  handler: 'bootstrap',
  code: lambda.Code.fromAsset(app.node.getContext('archive')),
  memorySize: 256,
  timeout: Duration.seconds(60),
  loggingFormat: lambda.LoggingFormat.JSON,
  environment: {
    PERSEUS_URL: app.node.getContext('perseusUrl'),
    SQS_VISIBILITY: 'on',
    METRICS: 'on',
  },
});

forwarder.addEventSource(
  new sources.SqsEventSource(messages, {
    batchSize: 1000,
    maxBatchingWindow: Duration.seconds(1),
    // Without it the whole batch would leave the queue, failed messages included.
    reportBatchItemFailures: true,
  }),
);
