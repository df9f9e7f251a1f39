"""The messages and services of orderd's wire contract. Built from protos/, never edited."""
