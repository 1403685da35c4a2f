"""Where moto answers otherwise than AWS, by law of the conformance suite, with the page that decides."""

from __future__ import annotations

from dataclasses import dataclass

_SQS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/"
_GUIDE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
_S3 = "https://docs.aws.amazon.com/AmazonS3/latest/"
_DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/"
_RECORDED = "https://github.com/architect/dynalite"  # what the service answers, recorded
_SNS = "https://docs.aws.amazon.com/sns/latest/"


@dataclass(frozen=True, slots=True)
class Difference:
    """What moto does, and the page by which AWS does not."""

    moto: str
    source: str

    @property
    def told(self) -> str:
        return f"moto {self.moto}: {self.source}"


DIFFERENCES: dict[str, Difference] = {
    "test_a_stale_handle_deletes_nothing": Difference(
        "deletes the message by any of its handles", f"{_SQS}API_DeleteMessage.html"
    ),
    "test_a_handle_whose_time_is_over_hides_nothing": Difference(
        "hides a visible message again", "https://github.com/localstack/localstack/pull/9632"
    ),
    "test_the_visibility_of_a_message_that_is_gone_cannot_be_changed": Difference(
        "calls the handle invalid", "https://github.com/aws/aws-sdk-net/issues/1927"
    ),
    "test_a_body_is_characters_of_xml": Difference("takes a NUL", f"{_SQS}API_SendMessage.html"),
    "test_a_message_received_too_often_is_moved": Difference(
        "does not tell DeadLetterQueueSourceArn", f"{_SQS}API_ReceiveMessage.html"
    ),
    "test_sequence_numbers_grow": Difference("tells no SequenceNumber to who sends", f"{_SQS}API_SendMessage.html"),
    "test_a_fifo_message_is_not_deleted_by_a_handle_whose_time_is_over": Difference(
        "deletes it", "https://github.com/aws/aws-sdk-js/issues/1279"
    ),
    "test_the_same_deduplication_id_is_one_message": Difference(
        "forgets the id when the message is deleted", f"{_GUIDE}using-messagededuplicationid-property.html"
    ),
    "test_an_upload_that_is_wrong_is_refused": Difference(
        "fails with 500 when an aborted upload is completed", f"{_S3}API/API_CompleteMultipartUpload.html"
    ),
    "test_an_object_says_no_more_of_itself_than_s3_takes": Difference(
        "takes more where it copies", f"{_S3}userguide/UsingMetadata.html"
    ),
    "test_parts_are_listed_in_order": Difference("takes them in any order", f"{_S3}API/API_CompleteMultipartUpload.html"),
    "test_an_object_is_read_by_its_parts": Difference(
        "gives the whole object, and counts parts from 0",
        f"{_S3}API/API_GetObject.html#AmazonS3-GetObject-request-querystring-PartNumber",
    ),
    "test_dead_letters_need_a_queue_of_the_same_type[gone]": Difference(
        "calls the target itself a queue that is not there", "https://github.com/serverless/serverless/issues/5215"
    ),
    "test_dead_letters_need_a_queue_of_the_same_type[fifo]": Difference("takes it", f"{_SQS}API_SetQueueAttributes.html"),
    **{
        f"test_an_attribute_has_a_type_and_a_value[{one}]": Difference(
            "calls it InvalidParameterValue", "https://github.com/boto/botocore/tree/develop/botocore/data/sns"
        )
        for one in ("empty", "type")
    },
    "test_a_copy_has_conditions_on_its_source": Difference("does not read them", f"{_S3}API/API_CopyObject.html"),
    "test_a_body_that_is_not_what_was_signed_is_refused": Difference("does not look", f"{_S3}API/API_PutObject.html"),
    "test_events_are_numbered_in_order": Difference("sends no sequencer", f"{_S3}userguide/notification-content-structure.html"),
    "test_a_queue_that_is_not_there_hears_nothing": Difference(
        "accepts the configuration", f"{_S3}API/API_PutBucketNotificationConfiguration.html"
    ),
    "test_a_filter_lets_through_what_it_names[case]": Difference(
        "knows no equals-ignore-case", f"{_SNS}dg/sns-subscription-filter-policies.html"
    ),
    "test_what_a_queue_cannot_be_told_goes_to_the_dead_letters": Difference(
        "fails the publish", f"{_SNS}dg/sns-dead-letter-queues.html"
    ),
    "test_a_fifo_topic_tells_a_fifo_queue_in_order_and_once": Difference(
        "does not hand on the deduplication id", f"{_SNS}dg/fifo-message-dedup.html"
    ),
    **{
        f"test_a_subject_is_a_line_of_a_hundred_characters[{one}]": Difference(
            "looks at the length only, and not in a batch", f"{_SNS}api/API_Publish.html"
        )
        for one in ("line", "control", "delete", "long", "empty")
    },
    "test_a_name_is_not_free_at_once": Difference("makes the queue anew at once", f"{_SQS}API_DeleteQueue.html"),
    "test_a_number_is_told_without_needless_zeros": Difference(
        "keeps the text as it was written", f"{_DYNAMODB}developerguide/HowItWorks.NamingRulesDataTypes.html"
    ),
    "test_a_key_is_that_of_the_table[type]": Difference(
        "looks for a key of another type", f"{_DYNAMODB}APIReference/API_GetItem.html"
    ),
    "test_what_is_no_value_is_refused[large]": Difference(
        "takes numbers of any size", f"{_DYNAMODB}developerguide/Constraints.html"
    ),
    "test_what_is_no_value_is_refused[digits]": Difference(
        "takes numbers of any length", f"{_DYNAMODB}developerguide/Constraints.html"
    ),
    "test_what_is_no_value_is_refused[twice]": Difference(
        "takes a member of a set twice", f"{_DYNAMODB}developerguide/HowItWorks.NamingRulesDataTypes.html"
    ),
    "test_a_read_takes_the_parts_it_wants": Difference(
        "takes one member of a list only", f"{_DYNAMODB}developerguide/Expressions.ProjectionExpressions.html"
    ),
    "test_time_to_live_is_set_once": Difference("sets it again", f"{_DYNAMODB}APIReference/API_UpdateTimeToLive.html"),
    "test_a_batch_writes_into_several_tables": Difference(
        "takes an item twice", f"{_DYNAMODB}APIReference/API_BatchWriteItem.html"
    ),
    "test_what_is_consumed_is_told": Difference(
        "counts one unit for every write", f"{_DYNAMODB}developerguide/read-write-operations.html"
    ),
    "test_a_condition_holds_or_not[s < :six-False]": Difference(
        "fails with 500 where types differ", f"{_DYNAMODB}developerguide/Expressions.OperatorsAndFunctions.html"
    ),
    "test_a_condition_holds_or_not[begins_with(b, :ab)-True]": Difference(
        "compares the base64 of binaries", f"{_DYNAMODB}developerguide/Expressions.OperatorsAndFunctions.html"
    ),
    "test_a_condition_that_cannot_be_read_is_refused[n = :gone]": Difference("fails with 500", _RECORDED),
    "test_a_condition_that_cannot_be_read_is_refused[#gone = :five]": Difference("fails with 500", _RECORDED),
    "test_a_condition_that_cannot_be_read_is_refused[n BETWEEN :six AND :four]": Difference("finds nothing", _RECORDED),
    "test_a_condition_that_cannot_be_read_is_refused[attribute_type(s, :he)]": Difference("finds nothing", _RECORDED),
    "test_a_condition_that_cannot_be_read_is_refused[begins_with(s, :five)]": Difference("finds nothing", _RECORDED),
    "test_a_condition_that_cannot_be_read_is_refused[n < :true]": Difference("finds nothing", _RECORDED),
    "test_what_is_defined_is_used": Difference("does not look at values", _RECORDED),
    "test_a_query_has_a_condition_on_the_key[type]": Difference("finds nothing", _RECORDED),
    "test_a_query_has_a_condition_on_the_key[or]": Difference("fails with 500", _RECORDED),
    "test_a_scan_that_cannot_be_is_refused[start]": Difference("fails with 500", _RECORDED),
    "test_a_page_is_a_megabyte": Difference("ends a page before the item that goes beyond it", _RECORDED),
}
